//! Configuration: one table of settings ([`settings`]), and the only place that reads the environment.
//!
//! Four layers say what a setting is, each over the one before: what the table says, a file of TOML, the environment, the command
//! line. [`Sources`] gathers them into a [`Reading`], which knows where everything was said; [`Config`] is what it comes to, and
//! [`ConfigErrors`] everything that is wrong with it at once.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | the table |
//! | `sources` | which layers there are, and what wins |
//! | `file` | the layer that is TOML |
//! | `secret` | secrets in files of their own, and what is shown of a secret |
//! | `origin` | where something was said, and what is wrong with it |
//! | `typed` | settings as the program uses them |
//! | `template`, `parity` | files to begin with, and whether two are said alike |
//! | `reload` | what may change while a server runs |
//! | `show` | the settings as they are, and as a page of the guide lists them |
mod file;
mod origin;
pub mod parity;
mod reload;
mod secret;
pub mod settings;
mod show;
mod sources;
pub mod template;
#[cfg(test)]
mod tests;
mod typed;

pub use self::origin::{ConfigErrors, Origin, Problem};
pub use self::reload::{Change, Reload};
pub use self::show::{Shown, guide};
pub use self::sources::{Reading, Sources};
pub use self::typed::{Config, SecretUrl};

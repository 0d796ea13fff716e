//! Rehearsals: what a command would lead to, by the code that does it.
//!
//! A handler is given [`Commands`](crate::Commands) whose executor decides as ever and appends nothing: what it decides is only imagined. What is imagined
//! is then followed by the process managers themselves, and what they want is carried out as far as it stays inside the house; nobody outside
//! is asked. What it all comes to is an [`Outlook`].
mod ahead;
mod imagined;
mod keys;
mod money;
mod outlook;
mod play;
mod still;

pub(crate) use self::imagined::Imagined;
pub(crate) use self::keys::Unmade;
pub use self::money::Costs;
pub use self::outlook::{Affected, Kind, Outlook};
pub use self::play::{Rehearsal, Rehearsals};
use self::still::Still;

//! What happens, as it happens: public events for those who hold a stream open, whether by SSE or by WebSocket.
//!
//! One tail of the log per process feeds all readers; none of them holds a connection to the database. A reader that comes back with
//! the place it had reached is first read what it missed, in pages of the log, and then follows: it is registered before the first page
//! is read, so that nothing falls between. What the tail has for a reader waits in a bounded queue; one that is slower is told to begin
//! anew ([`Item::Reset`]), and so is one that has been away for too long.
mod frame;
mod hub;
mod reader;
mod source;
mod stream;
mod watch;

pub use frame::Frame;
pub use hub::{Hub, Pace};
pub use reader::{Item, Reader};
pub use stream::{Sight, Stream, Sub};

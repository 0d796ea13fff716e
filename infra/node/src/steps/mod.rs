//! The steps of provisioning. Each one can be inspected, brought about and undone, any number of times.
pub mod access;
mod allocation;
pub mod home;
mod image;
pub mod limits;
pub mod remains;
pub mod uid;
pub mod user;

use cairn_node::Step;

pub use allocation::Allocation;

use crate::fault::{Fault, Outcome};

/// What there is of a step; `None` when it is not as it must be.
pub fn inspect(allocation: Allocation<'_>, step: Step) -> Outcome<Option<String>> {
    match step {
        Step::Uid => uid::inspect(allocation),
        Step::Home => home::inspect(allocation),
        Step::User => user::inspect(allocation),
        Step::Limits => limits::inspect(allocation),
        Step::Access => access::inspect(allocation),
    }
}

/// Inspects, acts if need be, and verifies.
pub fn ensure(allocation: Allocation<'_>, step: Step) -> Outcome<String> {
    if let Some(observed) = inspect(allocation, step)? {
        return Ok(observed);
    }
    if step != Step::Uid && uid::inspect(allocation)?.is_none() {
        return Err(Fault::permanent("uid_not_taken", "the uid must be taken first"));
    }
    match step {
        Step::Uid => uid::act(allocation)?,
        Step::Home => home::act(allocation)?,
        Step::User => user::act(allocation)?,
        Step::Limits => limits::act(allocation)?,
        Step::Access => access::act(allocation)?,
    }
    inspect(allocation, step)?.ok_or_else(|| {
        let message = format!("step {} did not hold after it was done", step.name());
        Fault::permanent("not_verified", message)
    })
}

/// Takes a step back; nothing of it may be there.
pub fn undo(allocation: Allocation<'_>, step: Step) -> Outcome<()> {
    if uid::inspect(allocation)?.is_none() {
        return Ok(());
    }
    match step {
        Step::Uid => {
            // The claim says whose the rest is: it goes last.
            let rest = remains::of_steps(allocation)?;
            if !rest.is_empty() {
                let message = format!("other steps are to be undone first: {}", rest.join(", "));
                return Err(Fault::permanent("steps_remain", message));
            }
            uid::undo(allocation)
        }
        Step::Home => home::undo(allocation),
        Step::User => user::undo(allocation),
        Step::Limits => limits::undo(allocation),
        Step::Access => access::undo(allocation),
    }
}

//! Projects in the story: one that is renamed and archived, one that stays, and a rental that began in each of them.
use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::{AllocationId, OrganisationId, ProjectId};
use cairn_identity::{Organisation, OrganisationCommand, ProjectWish};

use super::story::{Teller, at, requested, text};

/// The one that people found in the story.
const FOUNDED: OrganisationId = OrganisationId::from_bits(5);

pub fn tell(teller: &mut Teller) {
    teller.tell::<Organisation>(&FOUNDED.to_string(), projects());
    for number in [1, 2] {
        let rental = 60 + number;
        let stream = AllocationId::from_bits(rental).to_string();
        teller.tell::<Allocation>(&stream, [rented(rental, number)]);
    }
}

fn projects() -> [OrganisationCommand; 4] {
    let on = |number, wish, secs| OrganisationCommand::Project {
        project_id: ProjectId::from_bits(number),
        wish,
        at: at(secs),
    };
    [
        on(1, ProjectWish::Create { name: text("search") }, 3_300),
        on(2, ProjectWish::Create { name: text("ranking") }, 3_301),
        on(1, ProjectWish::Rename { name: text("find") }, 3_302),
        on(1, ProjectWish::Archive, 3_303),
    ]
}

fn rented(rental: u128, project: u128) -> AllocationCommand {
    let mut request = requested(rental, None);
    let AllocationCommand::Request { project_id, organisation_id, .. } = &mut request else {
        panic!("it asks for a rental");
    };
    (*project_id, *organisation_id) = (Some(ProjectId::from_bits(project)), FOUNDED);
    request
}

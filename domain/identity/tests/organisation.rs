//! The rules of an organisation.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::decide_both_ways;
use cairn_core::{
    Decider, GrantId, InvitationId, OrganisationId, ProjectId, ServiceAccountId, Timestamp, UserId,
};
use cairn_identity::organisation::{GRANT_MAX_SECS, PROJECTS_MAX, SERVICE_ACCOUNTS_MAX};
use cairn_identity::{
    EmailAddress, EmailAddressCommand, EmailAddressError, Invite, Organisation,
    OrganisationCommand, OrganisationError, OrganisationEvent, ProjectWish, Role,
    ServiceAccountWish,
};

const OWNER: UserId = UserId::from_bits(1);
const OTHER: UserId = UserId::from_bits(2);

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn after(
    mut organisation: Organisation,
    commands: impl IntoIterator<Item = OrganisationCommand>,
) -> Organisation {
    for command in commands {
        let events = decide_both_ways(organisation.clone(), command).events();
        organisation = organisation.evolve_all(events);
    }
    organisation
}

fn found() -> OrganisationCommand {
    let organisation_id = OrganisationId::from_bits(5);
    OrganisationCommand::Found { organisation_id, name: "E".to_owned(), owner: OWNER, at: at(0) }
}

fn founded() -> Organisation {
    after(Organisation::default(), [found()])
}

fn invite(number: u128, role: Role, by: Role) -> OrganisationCommand {
    let invite = Invite {
        invitation_id: InvitationId::from_bits(number),
        email: "grace@example.org".to_owned(),
        email_index: "e2".to_owned(),
        role,
        token: "t".to_owned(),
        token_sha256: format!("h{number}"),
        expires_at: at(100),
    };
    OrganisationCommand::Invite { invite, by, at: at(1) }
}

fn join(hash: &str, index: &str, when: i64) -> OrganisationCommand {
    OrganisationCommand::Join {
        token_sha256: hash.to_owned(),
        user_id: OTHER,
        email_index: index.to_owned(),
        at: at(when),
    }
}

fn joined(role: Role) -> Organisation {
    after(founded(), [invite(1, role, Role::Owner), join("h1", "e2", 2)])
}

fn refusal(organisation: &Organisation, command: OrganisationCommand) -> OrganisationError {
    organisation.decide(command).unwrap_err()
}

fn change(user_id: UserId, role: Role, by: Role) -> OrganisationCommand {
    OrganisationCommand::ChangeRole { user_id, role, by, at: at(3) }
}

fn remove(user_id: UserId, by: Option<Role>) -> OrganisationCommand {
    OrganisationCommand::Remove { user_id, by, at: at(3) }
}

#[test]
fn whoever_founds_it_owns_it() {
    assert_eq!(founded().role_of(OWNER), Some(Role::Owner));
    assert_eq!(founded().decide(found()), Ok(vec![]), "a repeat");
    let unnamed = OrganisationCommand::Rename { name: String::new(), at: at(1) };
    assert_eq!(refusal(&founded(), unnamed), OrganisationError::BadName);
    let unknown = refusal(&Organisation::default(), invite(1, Role::Viewer, Role::Owner));
    assert_eq!(unknown, OrganisationError::Unknown);
}

#[test]
fn an_invitation_works_once_for_its_address_until_it_is_over() {
    let invited = after(founded(), [invite(1, Role::Developer, Role::Owner)]);
    assert_eq!(refusal(&invited, join("h1", "e2", 100)), OrganisationError::UnknownInvitation);
    assert_eq!(refusal(&invited, join("h1", "e3", 2)), OrganisationError::InvitedOtherwise);
    let joined = after(invited.clone(), [join("h1", "e2", 2)]);
    assert_eq!(joined.role_of(OTHER), Some(Role::Developer));
    assert_eq!(refusal(&joined, join("h1", "e2", 3)), OrganisationError::UnknownInvitation);
    let again = after(invited, [invite(2, Role::Viewer, Role::Owner)]);
    assert_eq!(refusal(&again, join("h1", "e2", 2)), OrganisationError::UnknownInvitation);
    let member = after(joined, [invite(3, Role::Viewer, Role::Owner)]);
    assert_eq!(refusal(&member, join("h3", "e2", 4)), OrganisationError::MemberAlready);
}

#[test]
fn nobody_gives_or_takes_more_than_they_have() {
    for by in [Role::Finance, Role::Developer, Role::Viewer, Role::PlatformOperator] {
        let refused = refusal(&founded(), invite(1, Role::Viewer, by));
        assert_eq!(refused, OrganisationError::RoleTooHigh, "{by:?}");
    }
    let refused = refusal(&founded(), invite(1, Role::Owner, Role::Admin));
    assert_eq!(refused, OrganisationError::RoleTooHigh);
    let refused = refusal(&founded(), invite(1, Role::PlatformOperator, Role::Owner));
    assert_eq!(refused, OrganisationError::RoleTooHigh);
    let two_owners = joined(Role::Owner);
    for taken in [change(OTHER, Role::Viewer, Role::Admin), remove(OTHER, Some(Role::Admin))] {
        assert_eq!(refusal(&two_owners, taken), OrganisationError::RoleTooHigh);
    }
    let raised = change(OTHER, Role::Owner, Role::Admin);
    assert_eq!(refusal(&joined(Role::Admin), raised), OrganisationError::RoleTooHigh);
}

#[test]
fn there_is_always_an_owner() {
    let alone = joined(Role::Admin);
    assert_eq!(refusal(&alone, remove(OWNER, None)), OrganisationError::LastOwner);
    let lowered = change(OWNER, Role::Viewer, Role::Owner);
    assert_eq!(refusal(&alone, lowered.clone()), OrganisationError::LastOwner);
    let two = after(alone, [change(OTHER, Role::Owner, Role::Owner)]);
    assert!(two.decide(lowered).is_ok());
    assert!(two.decide(remove(OWNER, None)).is_ok());
    let stranger = remove(UserId::from_bits(9), None);
    assert_eq!(refusal(&two, stranger), OrganisationError::UnknownMember);
}

#[test]
fn support_looks_for_a_while_and_until_it_is_ended() {
    let grant = |seconds: i64, reason: &str| OrganisationCommand::GrantSupport {
        grant_id: GrantId::from_bits(1),
        reason: reason.to_owned(),
        expires_at: at(5 + seconds),
        at: at(5),
    };
    for seconds in [0, -1, GRANT_MAX_SECS + 1] {
        assert_eq!(refusal(&founded(), grant(seconds, "why")), OrganisationError::BadGrant);
    }
    assert_eq!(refusal(&founded(), grant(60, "")), OrganisationError::ReasonNeeded);
    let granted = after(founded(), [grant(GRANT_MAX_SECS, "why")]);
    let end = OrganisationCommand::EndGrant { grant_id: GrantId::from_bits(1), at: at(6) };
    let ended = after(granted, [end.clone()]);
    assert_eq!(refusal(&ended, end), OrganisationError::UnknownGrant);
}

#[test]
fn a_second_factor_is_demanded_until_it_is_not() {
    let rule = |demanded| OrganisationCommand::SetSecondFactorRule { demanded, at: at(5) };
    assert_eq!(founded().decide(rule(false)), Ok(vec![]), "nobody did");
    let demanding = after(founded(), [rule(true)]);
    assert!(demanding.second_factor_demanded);
    assert_eq!(demanding.decide(rule(true)), Ok(vec![]));
    assert!(!after(demanding, [rule(false)]).second_factor_demanded);
}

#[test]
fn suspending_twice_is_suspending_once() {
    let suspend = OrganisationCommand::Suspend { reason: "unpaid".to_owned(), at: at(5) };
    let resume = OrganisationCommand::Resume { reason: "paid".to_owned(), at: at(6) };
    assert_eq!(founded().decide(resume.clone()), Ok(vec![]));
    let suspended = after(founded(), [suspend.clone()]);
    assert_eq!(suspended.decide(suspend), Ok(vec![]));
    let resumed = suspended.decide(resume).unwrap();
    assert!(matches!(&*resumed, [OrganisationEvent::Resumed { .. }]));
}

#[test]
fn an_address_is_one_persons_at_a_time() {
    let claim = |user_id| EmailAddressCommand::Claim { user_id, at: at(1) };
    let owned = EmailAddress::fold(EmailAddress::default().decide(claim(OWNER)).unwrap());
    assert_eq!(owned.decide(claim(OWNER)), Ok(vec![]));
    assert_eq!(owned.decide(claim(OTHER)), Err(EmailAddressError::Taken));
    let release = |user_id| EmailAddressCommand::Release { user_id, at: at(2) };
    assert_eq!(owned.decide(release(OTHER)), Ok(vec![]), "not theirs to release");
    let free = owned.clone().evolve_all(owned.decide(release(OWNER)).unwrap());
    assert!(free.decide(claim(OTHER)).is_ok());
}

fn on_account(number: u128, wish: ServiceAccountWish, by: Role) -> OrganisationCommand {
    let service_account_id = ServiceAccountId::from_bits(number);
    OrganisationCommand::ServiceAccount { service_account_id, wish, by, at: at(7) }
}

fn add(number: u128, role: Role) -> OrganisationCommand {
    on_account(number, ServiceAccountWish::Add { name: "deploy".to_owned(), role }, Role::Owner)
}

fn update(name: Option<&str>, role: Option<Role>, by: Role) -> OrganisationCommand {
    on_account(1, ServiceAccountWish::Update { name: name.map(str::to_owned), role }, by)
}

#[test]
fn a_service_account_lives_until_it_is_removed() {
    use ServiceAccountWish::{Disable, Enable, Remove};
    let owned = |wish| on_account(1, wish, Role::Owner);
    let added = after(founded(), [add(1, Role::Developer)]);
    assert_eq!(added.decide(add(1, Role::Developer)), Ok(vec![]), "a repeat");
    assert_eq!(added.decide(owned(Enable)), Ok(vec![]), "it is");
    let changed = after(added, [update(Some("ci"), Some(Role::Viewer), Role::Admin)]);
    let account = changed.service_account(ServiceAccountId::from_bits(1)).unwrap();
    assert_eq!((account.name.as_str(), account.role), ("ci", Role::Viewer));
    let same = update(Some("ci"), Some(Role::Viewer), Role::Admin);
    assert_eq!(changed.decide(same), Ok(vec![]), "it is so already");
    assert_eq!(changed.decide(update(None, None, Role::Admin)), Ok(vec![]), "nothing is wished");
    let disabled = after(changed, [owned(Disable)]);
    assert!(disabled.service_accounts[0].disabled);
    assert_eq!(disabled.decide(owned(Disable)), Ok(vec![]), "it is");
    let enabled = after(disabled.clone(), [owned(Enable)]);
    assert!(!enabled.service_accounts[0].disabled);
    let removed = after(disabled, [owned(Remove)]);
    for wish in [Disable, Enable, Remove] {
        assert_eq!(refusal(&removed, owned(wish)), OrganisationError::UnknownServiceAccount);
    }
    let renamed = update(Some("x"), None, Role::Owner);
    assert_eq!(refusal(&removed, renamed), OrganisationError::UnknownServiceAccount);
}

#[test]
fn a_service_account_has_a_name_and_there_are_so_many() {
    for name in ["", &"x".repeat(101)] {
        let wish = ServiceAccountWish::Add { name: name.to_owned(), role: Role::Viewer };
        let refused = refusal(&founded(), on_account(1, wish, Role::Owner));
        assert_eq!(refused, OrganisationError::BadServiceAccountName);
        let known = after(founded(), [add(1, Role::Viewer)]);
        let refused = refusal(&known, update(Some(name), None, Role::Owner));
        assert_eq!(refused, OrganisationError::BadServiceAccountName);
    }
    let most = u128::try_from(SERVICE_ACCOUNTS_MAX).unwrap();
    let full = after(founded(), (1..=most).map(|number| add(number, Role::Viewer)));
    assert_eq!(refusal(&full, add(most + 1, Role::Viewer)), OrganisationError::TooMany);
    let gone = on_account(1, ServiceAccountWish::Remove, Role::Owner);
    assert!(after(full, [gone]).decide(add(most + 1, Role::Viewer)).is_ok());
    let unknown = refusal(&Organisation::default(), add(1, Role::Viewer));
    assert_eq!(unknown, OrganisationError::Unknown);
}

#[test]
fn no_service_account_owns_and_nobody_makes_one_that_is_more_than_they_are() {
    use ServiceAccountWish::{Disable, Enable, Remove};
    let known = after(founded(), [add(1, Role::Viewer)]);
    assert_eq!(refusal(&founded(), add(1, Role::Owner)), OrganisationError::BadServiceAccountRole);
    let risen = update(None, Some(Role::Owner), Role::Owner);
    assert_eq!(refusal(&known, risen), OrganisationError::BadServiceAccountRole);
    for (role, by) in [
        (Role::Owner, Role::Admin),
        (Role::PlatformOperator, Role::Owner),
        (Role::Viewer, Role::Developer),
        (Role::Viewer, Role::PlatformOperator),
    ] {
        let wish = ServiceAccountWish::Add { name: "x".to_owned(), role };
        let refused = refusal(&known, on_account(2, wish, by));
        assert_eq!(refused, OrganisationError::RoleTooHigh, "{role:?} by {by:?}");
        let refused = refusal(&known, update(None, Some(role), by));
        assert_eq!(refused, OrganisationError::RoleTooHigh, "{role:?} by {by:?}");
    }
    for by in [Role::Finance, Role::Developer, Role::Viewer] {
        for wish in [Disable, Enable, Remove] {
            let refused = refusal(&known, on_account(1, wish, by));
            assert_eq!(refused, OrganisationError::RoleTooHigh, "{by:?}");
        }
    }
}

fn project(number: u128, wish: ProjectWish) -> OrganisationCommand {
    OrganisationCommand::Project { project_id: ProjectId::from_bits(number), wish, at: at(9) }
}

fn created(number: u128, name: &str) -> OrganisationCommand {
    project(number, ProjectWish::Create { name: name.to_owned() })
}

fn renamed(number: u128, name: &str) -> OrganisationCommand {
    project(number, ProjectWish::Rename { name: name.to_owned() })
}

#[test]
fn a_project_is_made_once_and_an_archived_one_takes_nothing_new() {
    let with = after(founded(), [created(1, "search"), created(2, "ranking")]);
    assert_eq!(with.decide(created(1, "search")), Ok(vec![]));
    let archived = after(with, [renamed(1, "find"), project(1, ProjectWish::Archive)]);
    assert_eq!(archived.decide(project(1, ProjectWish::Archive)), Ok(vec![]));
    assert_eq!(archived.decide(renamed(1, "look")), Err(OrganisationError::ProjectArchived));
    let takes = |number| archived.takes_rentals(ProjectId::from_bits(number));
    assert_eq!(takes(1), Err(OrganisationError::ProjectArchived));
    assert_eq!(takes(2), Ok(()));
    assert_eq!(takes(3), Err(OrganisationError::UnknownProject));
}

#[test]
fn of_what_is_no_project_nothing_can_be_asked() {
    for wish in [ProjectWish::Archive, ProjectWish::Rename { name: "x".to_owned() }] {
        let refused = founded().decide(project(7, wish));
        assert_eq!(refused, Err(OrganisationError::UnknownProject));
    }
}

#[test]
fn a_project_has_a_name_and_there_are_not_too_many() {
    let founded = after(founded(), [created(0, "first")]);
    for name in ["", &*"x".repeat(101)] {
        for wish in [created(1, name), renamed(0, name)] {
            assert_eq!(founded.decide(wish), Err(OrganisationError::BadProjectName));
        }
    }
    let number = |n: usize| u128::try_from(n).unwrap();
    let full = after(founded, (1..PROJECTS_MAX).map(|n| created(number(n), "p")));
    assert_eq!(full.decide(created(1_000_000, "p")), Err(OrganisationError::TooMany));
    let archived = after(full, [project(1, ProjectWish::Archive)]);
    let another = archived.decide(created(1_000_000, "p"));
    assert_eq!(another, Err(OrganisationError::TooMany), "archived ones are counted");
}

//! A person and their organisation, with something of everything that changes a row.
use cairn_core::{ApiKeyId, GrantId, InvitationId, ServiceAccountId, SessionId, UserId};
use cairn_identity::{
    Algorithm, ApiKey, ApiKeyCommand, Backup, Consent, Document, EndReason, Factor, Holder,
    Identity, Invite, LinkPurpose, Organisation, OrganisationCommand, Passkey, PasskeyCommand,
    PasskeyShown, Proof, Role, Said, ServiceAccountWish, SignIn, User, UserCommand,
};
use cairn_projections::all;
use cairn_projections::identity::{api_keys, service_accounts_query};
use sqlx::PgPool;

use crate::world::{World, organisation};

fn session(number: u128, ends: &World) -> UserCommand {
    let at = ends.now();
    UserCommand::SignIn(SignIn {
        session_id: SessionId::from_bits(number),
        secret_sha256: format!("session-{number}"),
        password: "$argon2id$old".to_owned(),
        factor: Factor::Password,
        identity: None,
        passkey: None,
        recovery_sha256: None,
        step: None,
        ends_at: at.plus_secs(1_000),
        at,
    })
}

fn identity(number: u128, provider: &str) -> Identity {
    Identity {
        provider: provider.to_owned(),
        issuer: format!("https://{provider}.example.org"),
        subject: number.to_string(),
        identity_index: format!("{provider}-{number}"),
    }
}

fn passkey(number: u128, name: &str) -> Passkey {
    Passkey {
        credential_sha256: format!("{name}-{number}"),
        credential_id: "AAEC".to_owned(),
        algorithm: Algorithm::EdDsa,
        public_key: "AAEC".to_owned(),
        sign_count: 0,
        backup: Backup::Eligible,
        name: name.to_owned(),
    }
}

/// A session that begins with a passkey, which is copied by now.
fn by_passkey(number: u128, name: &str, ends: &World) -> UserCommand {
    let UserCommand::SignIn(session) = session(number, ends) else { unreachable!() };
    let credential_sha256 = passkey(number - 200, name).credential_sha256;
    let shown = PasskeyShown { credential_sha256, sign_count: 1, backup: Backup::Exists };
    UserCommand::SignIn(SignIn { factor: Factor::Passkey, passkey: Some(shown), ..session })
}

/// What somebody does with two passkeys, one of which they keep.
fn passkeys(number: u128, world: &World) -> Vec<UserCommand> {
    let at = world.now();
    let [kept, lost] = ["laptop", "phone"].map(|name| passkey(number, name));
    let ids = [kept.credential_sha256.clone(), lost.credential_sha256.clone()];
    let [kept_id, lost_id] = ids;
    let name = "old laptop".to_owned();
    let rename = PasskeyCommand::Rename { credential_sha256: kept_id, name, at };
    vec![
        UserCommand::Passkey(PasskeyCommand::Add { passkey: kept, at }),
        UserCommand::Passkey(PasskeyCommand::Add { passkey: lost, at }),
        by_passkey(number + 200, "laptop", world),
        UserCommand::Passkey(rename),
        UserCommand::Passkey(PasskeyCommand::Remove { credential_sha256: lost_id, at }),
    ]
}

impl World {
    /// A person who does whatever changes a row, with a device of theirs between two sessions.
    pub async fn person(&self, number: u128) -> i64 {
        let (user_id, at) = (UserId::from_bits(number), self.now());
        let token_sha256 = format!("link-{number}");
        let (first, second) = (SessionId::from_bits(number), SessionId::from_bits(number + 100));
        let commands = [
            UserCommand::Register {
                user_id,
                email: format!("{number}@example.org"),
                email_index: format!("index-{number}"),
                name: "Ada".to_owned(),
                password: "$argon2id$old".to_owned(),
                at,
            },
            UserCommand::RequestLink {
                purpose: LinkPurpose::VerifyEmail,
                token: "t".to_owned(),
                token_sha256: token_sha256.clone(),
                expires_at: at.plus_secs(60),
                at,
            },
            UserCommand::VerifyEmail { token_sha256, at },
            session(number, self),
            session(number + 100, self),
            UserCommand::EndSession { session_id: first, why: EndReason::Revoked, at },
            UserCommand::BeginTotp { secret: "s".to_owned(), at },
            UserCommand::ConfirmTotp { step: 1, recovery_sha256: vec![], at },
            UserCommand::LinkIdentity { identity: identity(number, "one"), vouched: false, at },
            UserCommand::LinkIdentity { identity: identity(number, "two"), vouched: false, at },
            UserCommand::UnlinkIdentity { identity_index: format!("two-{number}"), at },
            UserCommand::SetPassword {
                password: "$argon2id$new".to_owned(),
                proof: Proof::OldPassword,
                renewed: Some((second, format!("renewed-{number}"))),
                at,
            },
        ];
        let mut position = 0;
        for command in commands.into_iter().chain(passkeys(number, self)) {
            position = self.run::<User>(&user_id.to_string(), command).await;
        }
        position
    }

    /// Agrees to the terms, takes it back, and asks to be forgotten, thinks better of it, and asks again.
    pub async fn wishes(&self, number: u128) -> i64 {
        let (user_id, at) = (UserId::from_bits(number), self.now());
        let consent = |given| UserCommand::Consent {
            document: Document::Terms,
            consent: Consent { version: "2026-11".to_owned(), given },
            said: Said::SignedIn,
            at,
        };
        let due_at = at.plus_secs(100);
        let commands = [
            consent(true),
            consent(false),
            UserCommand::RequestErasure { due_at, at },
            UserCommand::CancelErasure { at },
            UserCommand::RequestErasure { due_at, at },
        ];
        let mut position = 0;
        for command in commands {
            position = self.run::<User>(&user_id.to_string(), command).await;
        }
        position
    }

    /// Founds an organisation of a person's, in which another comes, rises and goes, and support may look for a while.
    pub async fn founded(&self, number: u128, (owner, other): (u128, u128)) -> i64 {
        let (id, at) = (organisation(number), self.now());
        let (owner, other) = (UserId::from_bits(owner), UserId::from_bits(other));
        let invite = |number: u128| Invite {
            invitation_id: InvitationId::from_bits(number),
            email: "grace@example.org".to_owned(),
            email_index: "index".to_owned(),
            role: Role::Viewer,
            token: "t".to_owned(),
            token_sha256: format!("invitation-{number}"),
            expires_at: at.plus_secs(60),
        };
        let invited =
            |number| OrganisationCommand::Invite { invite: invite(number), by: Role::Owner, at };
        let token_sha256 = format!("invitation-{}", number + 10);
        let email_index = "index".to_owned();
        let grant = |bits| GrantId::from_bits(bits);
        let granted = |bits| OrganisationCommand::GrantSupport {
            grant_id: grant(bits),
            reason: "look".to_owned(),
            expires_at: at.plus_secs(60),
            at,
        };
        let commands = [
            OrganisationCommand::Found { organisation_id: id, name: "E".to_owned(), owner, at },
            OrganisationCommand::Rename { name: "Engines".to_owned(), at },
            invited(number),
            invited(number + 10),
            OrganisationCommand::Join { token_sha256, user_id: other, email_index, at },
            OrganisationCommand::ChangeRole {
                user_id: other,
                role: Role::Admin,
                by: Role::Owner,
                at,
            },
            granted(number),
            granted(number + 10),
            OrganisationCommand::EndGrant { grant_id: grant(number), at },
            OrganisationCommand::Suspend { reason: "unpaid".to_owned(), at },
        ];
        let mut position = 0;
        for command in commands {
            position = self.run::<Organisation>(&id.to_string(), command).await;
        }
        position
    }
}

impl World {
    /// Wishes something of a service account of an organisation that was founded.
    pub async fn on_account(
        &self,
        (owner, account): (u128, u128),
        wish: ServiceAccountWish,
    ) -> i64 {
        let (service_account_id, by) = (ServiceAccountId::from_bits(account), Role::Owner);
        let at = self.now();
        let command = OrganisationCommand::ServiceAccount { service_account_id, wish, by, at };
        self.run::<Organisation>(&organisation(owner).to_string(), command).await
    }

    /// A key of a service account, as it was when it was a developer.
    pub async fn account_key(&self, (owner, account): (u128, u128), number: u128) -> String {
        let key_id = ApiKeyId::from_bits(number);
        let create = ApiKeyCommand::Create {
            key_id,
            organisation_id: organisation(owner),
            role: Role::Developer,
            scopes: vec![],
            name: "runner".to_owned(),
            secret_sha256: format!("account-key-{number}"),
            holder: Some(Holder::ServiceAccount(ServiceAccountId::from_bits(account))),
            expires_at: None,
            at: self.now(),
        };
        self.run::<ApiKey>(&key_id.to_string(), create).await;
        key_id.to_string()
    }

    /// Two service accounts with keys, one of which is removed when everything that changes a row has happened to it.
    pub async fn accounts(&self, owner: u128) -> i64 {
        use ServiceAccountWish as W;
        let [first, second] = [(owner, 10 * owner), (owner, 10 * owner + 1)];
        let add = || W::Add { name: "ci".to_owned(), role: Role::Developer };
        self.on_account(first, add()).await;
        self.on_account(second, add()).await;
        let update = W::Update { name: Some("cd".to_owned()), role: Some(Role::Viewer) };
        self.on_account(first, update).await;
        self.on_account(first, W::Disable).await;
        self.on_account(first, W::Enable).await;
        self.on_account(second, W::Disable).await;
        self.account_key(first, 100 + owner).await;
        self.account_key(second, 200 + owner).await;
        self.on_account(first, W::Remove).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_of_a_service_account_is_what_the_account_is(pool: PgPool) {
    use ServiceAccountWish as W;
    let world = World::new(pool).await;
    world.person(1).await;
    world.person(2).await;
    world.founded(7, (1, 2)).await;
    let account = (7, 70);
    world.on_account(account, W::Add { name: "ci".to_owned(), role: Role::Developer }).await;
    let key = world.account_key(account, 300).await;
    let stranger = world.account_key((8, 70), 301).await;
    let found = async |sha256: &str| {
        world.caught_up(all()).await;
        let row = api_keys::find_by_sha256(&world.pool, sha256).await.unwrap();
        let living = api_keys::living(&world.pool, std::slice::from_ref(&key)).await.unwrap();
        let living = living.into_iter().map(|(_, role)| role).next();
        (row.map(|row| (row.role, row.disabled)), living)
    };
    let is = |role: &str, disabled| Some((role.to_owned(), disabled));
    let mine = "account-key-300";
    assert_eq!(found(mine).await, (is("developer", false), Some("developer".to_owned())));
    world.on_account(account, W::Update { name: None, role: Some(Role::Admin) }).await;
    assert_eq!(found(mine).await, (is("admin", false), Some("admin".to_owned())));
    world.on_account(account, W::Disable).await;
    assert_eq!(found(mine).await, (is("admin", true), None));
    world.on_account(account, W::Enable).await;
    assert_eq!(found(mine).await, (is("admin", false), Some("admin".to_owned())));
    // It names an account of another organisation, which is nobody.
    assert_eq!(found("account-key-301").await.0, None);
    let own = (Some(organisation(7)), Some(ServiceAccountId::from_bits(70)));
    let listed = api_keys::list(&world.pool, own, None, 10).await.unwrap().items;
    assert_eq!(listed.iter().map(|row| &row.key_id).collect::<Vec<_>>(), [&key]);
    let id = ServiceAccountId::from_bits(70).to_string();
    let known =
        async || service_accounts_query::get(&world.pool, organisation(7), &id).await.unwrap();
    assert!(known().await.is_some());
    let foreign = service_accounts_query::get(&world.pool, organisation(8), &id).await.unwrap();
    assert_eq!(foreign, None);
    world.on_account(account, W::Remove).await;
    assert_eq!(found(mine).await, (None, None));
    assert_eq!(known().await, None);
    let kept = api_keys::get(&world.pool, None, &key).await.unwrap().unwrap();
    assert!(kept.revoked_at.is_some(), "it says since when it opens nothing");
    assert_eq!(kept.revoked_reason.as_deref(), Some("its service account was removed"));
    let nobody = api_keys::get(&world.pool, None, &stranger).await.unwrap().unwrap();
    assert!(!nobody.stands);
    world.close().await;
}

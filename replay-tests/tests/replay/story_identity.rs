//! A person and their organisation in the story.
use cairn_core::{
    ApiKeyId, GrantId, InvitationId, OrganisationId, ServiceAccountId, SessionId, UserId,
};
use cairn_identity::{
    Algorithm, ApiKeyCommand, Backup, Consent, Document, EmailAddressCommand, EndReason, Factor,
    Holder, Identity, Invite, LinkPurpose, OrganisationCommand, Passkey, PasskeyCommand,
    PasskeyShown, Proof, Role, Said, ServiceAccountWish, SignIn, UserCommand,
};

use super::story::{at, text};

const PERSON: UserId = UserId::from_bits(1);
const INVITED: UserId = UserId::from_bits(2);

fn link(purpose: LinkPurpose, token: &str, when: i64) -> UserCommand {
    UserCommand::RequestLink {
        purpose,
        token: text(token),
        token_sha256: token.repeat(4),
        expires_at: at(when + 3_600),
        at: at(when),
    }
}

fn sign_in(number: u128, step: Option<u64>, when: i64) -> UserCommand {
    let factor = if step.is_some() { Factor::OneTimePassword } else { Factor::Password };
    UserCommand::SignIn(SignIn {
        session_id: SessionId::from_bits(number),
        secret_sha256: "5e".repeat(32),
        password: text("$argon2id$old"),
        factor,
        identity: None,
        passkey: None,
        recovery_sha256: None,
        step,
        ends_at: at(when + 90_000),
        at: at(when),
    })
}

fn identity() -> Identity {
    Identity {
        provider: text("example"),
        issuer: text("https://accounts.example.org"),
        subject: text("248289761001"),
        identity_index: "1d".repeat(32),
    }
}

pub fn person() -> Vec<UserCommand> {
    let register = UserCommand::Register {
        user_id: PERSON,
        email: text("ada@example.org"),
        email_index: "e1".repeat(32),
        name: text("Ada"),
        password: text("$argon2id$old"),
        at: at(1_000),
    };
    let session_id = SessionId::from_bits(2);
    let mut told = vec![
        register,
        link(LinkPurpose::VerifyEmail, "cairn_code_1", 1_001),
        UserCommand::VerifyEmail { token_sha256: "cairn_code_1".repeat(4), at: at(1_002) },
        UserCommand::Remind { at: at(1_003) },
        sign_in(1, None, 1_004),
        UserCommand::BeginTotp { secret: text("GEZDGNBV"), at: at(1_005) },
        UserCommand::ConfirmTotp { step: 7, recovery_sha256: vec!["7c".repeat(32)], at: at(1_006) },
        UserCommand::FailSignIn { at: at(1_007) },
        sign_in(2, Some(8), 1_008),
        UserCommand::SignIn(SignIn {
            session_id: SessionId::from_bits(3),
            secret_sha256: "61".repeat(32),
            password: text("$argon2id$old"),
            factor: Factor::RecoveryCode,
            identity: None,
            passkey: None,
            recovery_sha256: Some("7c".repeat(32)),
            step: None,
            ends_at: at(90_000),
            at: at(1_008),
        }),
        UserCommand::RenewSession { session_id, secret_sha256: "5f".repeat(32), at: at(1_009) },
        UserCommand::EndSession {
            session_id: SessionId::from_bits(1),
            why: EndReason::Revoked,
            at: at(1_010),
        },
        UserCommand::RemoveTotp { at: at(1_011) },
        UserCommand::LinkIdentity { identity: identity(), vouched: false, at: at(1_011) },
        UserCommand::SignIn(SignIn {
            session_id: SessionId::from_bits(4),
            secret_sha256: "62".repeat(32),
            password: String::new(),
            factor: Factor::IdentityProvider,
            identity: Some("1d".repeat(32)),
            passkey: None,
            recovery_sha256: None,
            step: None,
            ends_at: at(90_000),
            at: at(1_011),
        }),
        UserCommand::UnlinkIdentity { identity_index: "1d".repeat(32), at: at(1_011) },
    ];
    told.extend(passkeys());
    told.extend([
        UserCommand::SetPassword {
            password: text("$argon2id$new"),
            proof: Proof::OldPassword,
            renewed: Some((session_id, "60".repeat(32))),
            at: at(1_012),
        },
        link(LinkPurpose::ResetPassword, "cairn_code_2", 1_013),
        UserCommand::Close { reason: text("moves away"), at: at(1_014) },
    ]);
    told
}

/// Somebody who has lost everything, and whom whoever runs this lets begin anew.
pub fn reset() -> Vec<UserCommand> {
    vec![
        UserCommand::Register {
            user_id: UserId::from_bits(4),
            email: text("ada@example.org"),
            email_index: "e4".repeat(32),
            name: text("Ada"),
            password: text("$argon2id$old"),
            at: at(1_200),
        },
        link(LinkPurpose::VerifyEmail, "cairn_code_4", 1_201),
        UserCommand::VerifyEmail { token_sha256: "cairn_code_4".repeat(4), at: at(1_202) },
        sign_in(6, None, 1_203),
        UserCommand::EndSessions { reason: text("laptop stolen"), at: at(1_204) },
        UserCommand::BeginTotp { secret: text("GEZDGNBV"), at: at(1_205) },
        UserCommand::ResetFactors { reason: text("called back"), at: at(1_206) },
    ]
}

/// What they do with a passkey, between the identity and the new password.
fn passkeys() -> Vec<UserCommand> {
    vec![
        UserCommand::Passkey(PasskeyCommand::Add { passkey: passkey(), at: at(1_011) }),
        UserCommand::SignIn(SignIn {
            session_id: SessionId::from_bits(5),
            secret_sha256: "63".repeat(32),
            password: String::new(),
            factor: Factor::Passkey,
            identity: None,
            passkey: Some(PasskeyShown {
                credential_sha256: "c1".repeat(32),
                sign_count: 1,
                backup: Backup::Exists,
            }),
            recovery_sha256: None,
            step: None,
            ends_at: at(90_000),
            at: at(1_011),
        }),
        UserCommand::Passkey(PasskeyCommand::Rename {
            credential_sha256: "c1".repeat(32),
            name: text("old laptop"),
            at: at(1_011),
        }),
        UserCommand::Passkey(PasskeyCommand::Remove {
            credential_sha256: "c1".repeat(32),
            at: at(1_011),
        }),
    ]
}

fn passkey() -> Passkey {
    Passkey {
        credential_sha256: "c1".repeat(32),
        credential_id: text("AAECAwQFBgcICQoLDA0ODw"),
        algorithm: Algorithm::Es256,
        public_key: text("Amax"),
        sign_count: 0,
        backup: Backup::Eligible,
        name: text("laptop"),
    }
}

pub fn address() -> [EmailAddressCommand; 2] {
    [
        EmailAddressCommand::Claim { user_id: PERSON, at: at(1_002) },
        EmailAddressCommand::Release { user_id: PERSON, at: at(1_014) },
    ]
}

fn invite(number: u128, when: i64) -> OrganisationCommand {
    let invite = Invite {
        invitation_id: InvitationId::from_bits(number),
        email: text("grace@example.org"),
        email_index: "e2".repeat(32),
        role: Role::Developer,
        token: text("cairn_code_3"),
        token_sha256: "cairn_code_3".repeat(4),
        expires_at: at(when + 3_600),
    };
    OrganisationCommand::Invite { invite, by: Role::Owner, at: at(when) }
}

pub fn organisation() -> Vec<OrganisationCommand> {
    let organisation_id = OrganisationId::from_bits(5);
    let (name, grant_id) = (text("Engines"), GrantId::from_bits(1));
    vec![
        OrganisationCommand::Found { organisation_id, name, owner: PERSON, at: at(1_020) },
        OrganisationCommand::Rename { name: text("Analytical Engines"), at: at(1_021) },
        invite(1, 1_022),
        invite(2, 1_023),
        OrganisationCommand::Join {
            token_sha256: "cairn_code_3".repeat(4),
            user_id: INVITED,
            email_index: "e2".repeat(32),
            at: at(1_024),
        },
        OrganisationCommand::ChangeRole {
            user_id: INVITED,
            role: Role::Admin,
            by: Role::Owner,
            at: at(1_025),
        },
        OrganisationCommand::GrantSupport {
            grant_id,
            reason: text("it does not start"),
            expires_at: at(5_000),
            at: at(1_026),
        },
        OrganisationCommand::EndGrant { grant_id, at: at(1_027) },
        OrganisationCommand::Suspend { reason: text("unpaid"), at: at(1_028) },
        OrganisationCommand::Resume { reason: text("paid"), at: at(1_029) },
        OrganisationCommand::Remove { user_id: INVITED, by: Some(Role::Owner), at: at(1_030) },
    ]
}

/// Somebody who agrees, wants to be forgotten, and thinks better of it.
pub fn wishes() -> [UserCommand; 4] {
    let register = UserCommand::Register {
        user_id: UserId::from_bits(3),
        email: text("grace@example.org"),
        email_index: "e3".repeat(32),
        name: text("Grace"),
        password: text("$argon2id$old"),
        at: at(1_100),
    };
    let consent = Consent { version: text("2026-11"), given: true };
    let (document, said) = (Document::Terms, Said::Registering);
    [
        register,
        UserCommand::Consent { document, consent, said, at: at(1_101) },
        UserCommand::RequestErasure { due_at: at(90_000), at: at(1_102) },
        UserCommand::CancelErasure { at: at(1_103) },
    ]
}

const ACCOUNT: ServiceAccountId = ServiceAccountId::from_bits(1);

/// Programs that the organisation knows by name: one of them comes, changes, is shut and opened, and goes.
pub fn service_accounts() -> Vec<OrganisationCommand> {
    use ServiceAccountWish as W;
    let on = |service_account_id, wish, when| OrganisationCommand::ServiceAccount {
        service_account_id,
        wish,
        by: Role::Owner,
        at: at(when),
    };
    let update = |name: Option<&str>, role| W::Update { name: name.map(text), role };
    let other = ServiceAccountId::from_bits(2);
    vec![
        on(ACCOUNT, W::Add { name: text("deployments"), role: Role::Admin }, 1_200),
        on(other, W::Add { name: text("dashboard"), role: Role::Viewer }, 1_201),
        on(ACCOUNT, update(Some("nightly deployments"), Some(Role::Developer)), 1_202),
        on(ACCOUNT, update(None, Some(Role::Viewer)), 1_203),
        on(ACCOUNT, update(Some("night"), None), 1_204),
        on(ACCOUNT, W::Disable, 1_205),
        on(ACCOUNT, W::Enable, 1_206),
        on(other, W::Remove, 1_207),
    ]
}

/// A key of the one that stays.
pub fn account_key() -> [ApiKeyCommand; 1] {
    [ApiKeyCommand::Create {
        key_id: ApiKeyId::from_bits(4),
        organisation_id: OrganisationId::from_bits(5),
        role: Role::Viewer,
        scopes: vec![text("compute:read")],
        name: text("runner 7"),
        secret_sha256: "ad".repeat(32),
        holder: Some(Holder::ServiceAccount(ACCOUNT)),
        expires_at: None,
        at: at(1_208),
    }]
}

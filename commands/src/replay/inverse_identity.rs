//! From facts about people, organisations and keys back to the wishes that they answered.
use cairn_core::{ProjectId, Timestamp};
use cairn_identity::{
    ApiKey, ApiKeyCommand, ApiKeyEvent, Consent, EmailAddress, EmailAddressCommand,
    EmailAddressEvent, Erasure, ErasureCommand, ErasureEvent, Factor, Holder, Identity, Invite,
    LinkPurpose, Organisation, OrganisationCommand, OrganisationEvent, Passkey, PasskeyCommand,
    PasskeyShown, ProjectWish, Proof, Role, ServiceAccountWish, SignIn, User, UserCommand,
    UserEvent,
};

use super::inverse::Inverse;

impl Inverse for ApiKey {
    fn command_of(&self, facts: &[ApiKeyEvent]) -> Option<ApiKeyCommand> {
        let command = match facts.first()?.clone() {
            ApiKeyEvent::Created {
                key_id,
                organisation_id,
                role,
                scopes,
                name,
                secret_sha256,
                at,
            } => {
                let expires_at = facts.iter().find_map(|fact| match fact {
                    ApiKeyEvent::ExpirySet { expires_at, .. } => Some(*expires_at),
                    ApiKeyEvent::Created { .. }
                    | ApiKeyEvent::Issued { .. }
                    | ApiKeyEvent::Assigned { .. }
                    | ApiKeyEvent::Revoked { .. } => None,
                });
                let holder = facts.iter().find_map(|fact| match fact {
                    ApiKeyEvent::Issued { user_id, .. } => Some(Holder::Person(*user_id)),
                    ApiKeyEvent::Assigned { service_account_id, .. } => {
                        Some(Holder::ServiceAccount(*service_account_id))
                    }
                    ApiKeyEvent::Created { .. }
                    | ApiKeyEvent::ExpirySet { .. }
                    | ApiKeyEvent::Revoked { .. } => None,
                });
                ApiKeyCommand::Create {
                    key_id,
                    organisation_id,
                    role,
                    scopes,
                    name,
                    secret_sha256,
                    holder,
                    expires_at,
                    at,
                }
            }
            // They are never alone: they stand behind what made the key.
            ApiKeyEvent::Issued { .. } | ApiKeyEvent::Assigned { .. } => return None,
            ApiKeyEvent::ExpirySet { expires_at, successor, at } => {
                ApiKeyCommand::SetExpiry { expires_at, successor, at }
            }
            ApiKeyEvent::Revoked { reason, at } => ApiKeyCommand::Revoke { reason, at },
        };
        Some(command)
    }
}

impl Inverse for Erasure {
    fn command_of(&self, facts: &[ErasureEvent]) -> Option<ErasureCommand> {
        let command = match facts.first()?.clone() {
            ErasureEvent::Begun { subject, key_id, reason, at } => {
                ErasureCommand::Begin { subject, key_id, reason, at }
            }
            ErasureEvent::Erased { searched, at, .. } => ErasureCommand::Complete { searched, at },
        };
        Some(command)
    }
}

impl Inverse for User {
    /// Whoever proved something is not in the facts; what they proved it against is in the state.
    fn command_of(&self, facts: &[UserEvent]) -> Option<UserCommand> {
        use UserCommand as C;
        use UserEvent as E;
        let sent = |purpose| sent(self, purpose);
        let command = match facts.last()?.clone() {
            E::Registered { user_id, email, email_index, name, password, at } => {
                C::Register { user_id, email, email_index, name, password, at }
            }
            E::LinkRequested { purpose, token, token_sha256, expires_at, at } => {
                C::RequestLink { purpose, token, token_sha256, expires_at, at }
            }
            E::Reminded { at } => C::Remind { at },
            E::EmailVerified { at } => verified(sent(LinkPurpose::VerifyEmail)?, at),
            E::PasswordSet { password, at } => {
                let proof = match facts.len() {
                    1 => Proof::OldPassword,
                    _ => Proof::Link(sent(LinkPurpose::ResetPassword)?),
                };
                C::SetPassword { password, proof, renewed: None, at }
            }
            E::SessionRenewed { session_id, secret_sha256, at, .. } => match facts {
                [E::PasswordSet { password, .. }, _] => C::SetPassword {
                    password: password.clone(),
                    proof: Proof::OldPassword,
                    renewed: Some((session_id, secret_sha256)),
                    at,
                },
                _ => C::RenewSession { session_id, secret_sha256, at },
            },
            E::SessionsEnded { reason, at } => C::EndSessions { reason, at },
            E::FactorsReset { reason, at } => C::ResetFactors { reason, at },
            E::TotpBegun { secret, at } => C::BeginTotp { secret, at },
            E::TotpConfirmed { step, recovery_sha256, at } => {
                C::ConfirmTotp { step, recovery_sha256, at }
            }
            E::TotpRemoved { at } => C::RemoveTotp { at },
            E::IdentityLinked { provider, issuer, subject, identity_index, at } => {
                let identity = Identity { provider, issuer, subject, identity_index };
                C::LinkIdentity { identity, vouched: facts.len() > 1, at }
            }
            E::IdentityUnlinked { identity_index, at } => C::UnlinkIdentity { identity_index, at },
            E::PasskeyAdded { .. }
            | E::PasskeyUsed { .. }
            | E::PasskeyRenamed { .. }
            | E::PasskeyRemoved { .. } => C::Passkey(of_passkey(facts.last()?.clone())?),
            E::SignedIn { .. } => C::SignIn(signed_in(self, facts)?),
            E::SignInFailed { at } => C::FailSignIn { at },
            E::SessionEnded { session_id, why, at } => C::EndSession { session_id, why, at },
            E::Closed { reason, at } => C::Close { reason, at },
            E::Consented { document, version, given, said, at } => {
                C::Consent { document, consent: Consent { version, given }, said, at }
            }
            E::ErasureRequested { due_at, at } => C::RequestErasure { due_at, at },
            E::ErasureCancelled { at } => C::CancelErasure { at },
        };
        Some(command)
    }
}

/// One that was used is never the last fact: a session follows.
fn of_passkey(fact: UserEvent) -> Option<PasskeyCommand> {
    match fact {
        UserEvent::PasskeyAdded {
            credential_sha256,
            credential_id,
            algorithm,
            public_key,
            sign_count,
            backup,
            name,
            at,
        } => {
            let passkey = Passkey {
                credential_sha256,
                credential_id,
                algorithm,
                public_key,
                sign_count,
                backup,
                name,
            };
            Some(PasskeyCommand::Add { passkey, at })
        }
        UserEvent::PasskeyRenamed { credential_sha256, name, at } => {
            Some(PasskeyCommand::Rename { credential_sha256, name, at })
        }
        UserEvent::PasskeyRemoved { credential_sha256, at } => {
            Some(PasskeyCommand::Remove { credential_sha256, at })
        }
        _ => None,
    }
}

fn signed_in(user: &User, facts: &[UserEvent]) -> Option<SignIn> {
    let UserEvent::SignedIn {
        session_id,
        secret_sha256,
        factor,
        step,
        recovery_sha256,
        ends_at,
        at,
    } = facts.last()?.clone()
    else {
        return None;
    };
    Some(SignIn {
        session_id,
        secret_sha256,
        password: user.password.clone(),
        factor,
        identity: vouching(user, factor),
        passkey: shown(facts),
        recovery_sha256,
        step,
        ends_at,
        at,
    })
}

/// The passkey that was used before a session began.
fn shown(facts: &[UserEvent]) -> Option<PasskeyShown> {
    facts.iter().find_map(|fact| match fact {
        UserEvent::PasskeyUsed { credential_sha256, sign_count, backup, .. } => {
            let (sign_count, backup) = (*sign_count, *backup);
            Some(PasskeyShown { credential_sha256: credential_sha256.clone(), sign_count, backup })
        }
        _ => None,
    })
}

fn verified(token_sha256: String, at: Timestamp) -> UserCommand {
    UserCommand::VerifyEmail { token_sha256, at }
}

/// The hash of the code that a person was sent last.
fn sent(user: &User, purpose: LinkPurpose) -> Option<String> {
    let link = user.links.iter().find(|link| link.purpose == purpose);
    link.map(|link| link.token_sha256.clone())
}

/// Which identity was vouched for is not in the facts, only that one was.
fn vouching(user: &User, factor: Factor) -> Option<String> {
    let linked = user.identities.first().filter(|_| factor == Factor::IdentityProvider);
    linked.map(|linked| linked.identity_index.clone())
}

impl Inverse for EmailAddress {
    fn command_of(&self, facts: &[EmailAddressEvent]) -> Option<EmailAddressCommand> {
        let command = match facts.first()?.clone() {
            EmailAddressEvent::Claimed { user_id, at } => {
                EmailAddressCommand::Claim { user_id, at }
            }
            EmailAddressEvent::Released { user_id, at } => {
                EmailAddressCommand::Release { user_id, at }
            }
        };
        Some(command)
    }
}

impl Inverse for Organisation {
    /// Who asked is not in the facts, only that they might: an owner may all of it.
    fn command_of(&self, facts: &[OrganisationEvent]) -> Option<OrganisationCommand> {
        use OrganisationCommand as C;
        use OrganisationEvent as E;
        if let Some(command) = founded(facts).or_else(|| service_account_wish(facts)) {
            return Some(command);
        }
        let command = match facts.last()?.clone() {
            E::Founded { .. } => return None,
            E::Renamed { name, at } => C::Rename { name, at },
            E::SecondFactorRuleSet { demanded, at } => C::SetSecondFactorRule { demanded, at },
            E::MemberInvited {
                invitation_id,
                email,
                email_index,
                role,
                token,
                token_sha256,
                expires_at,
                at,
            } => {
                let invite = Invite {
                    invitation_id,
                    email,
                    email_index,
                    role,
                    token,
                    token_sha256,
                    expires_at,
                };
                C::Invite { invite, by: Role::Owner, at }
            }
            E::InvitationRevoked { invitation_id, at } => C::RevokeInvitation { invitation_id, at },
            E::MemberJoined { user_id, invitation_id, at, .. } => {
                let invitation = self
                    .invitations
                    .iter()
                    .find(|known| Some(known.invitation_id) == invitation_id)?;
                let token_sha256 = invitation.token_sha256.clone();
                C::Join { token_sha256, user_id, email_index: invitation.email_index.clone(), at }
            }
            E::RoleChanged { user_id, role, at } => {
                C::ChangeRole { user_id, role, by: Role::Owner, at }
            }
            E::MemberLeft { user_id, at } => C::Remove { user_id, by: None, at },
            E::SupportGranted { grant_id, reason, expires_at, at } => {
                C::GrantSupport { grant_id, reason, expires_at, at }
            }
            E::GrantEnded { grant_id, at } => C::EndGrant { grant_id, at },
            E::Suspended { reason, at } => C::Suspend { reason, at },
            E::Resumed { reason, at } => C::Resume { reason, at },
            E::ServiceAccountAdded { .. }
            | E::ServiceAccountRenamed { .. }
            | E::ServiceAccountRoleChanged { .. }
            | E::ServiceAccountDisabled { .. }
            | E::ServiceAccountEnabled { .. }
            | E::ServiceAccountRemoved { .. } => return None,
            E::ProjectCreated { project_id, name, at } => {
                on_project(project_id, ProjectWish::Create { name }, at)
            }
            E::ProjectRenamed { project_id, name, at } => {
                on_project(project_id, ProjectWish::Rename { name }, at)
            }
            E::ProjectArchived { project_id, at } => {
                on_project(project_id, ProjectWish::Archive, at)
            }
        };
        Some(command)
    }
}

const fn on_project(
    project_id: ProjectId,
    wish: ProjectWish,
    at: Timestamp,
) -> OrganisationCommand {
    OrganisationCommand::Project { project_id, wish, at }
}

fn founded(facts: &[OrganisationEvent]) -> Option<OrganisationCommand> {
    use OrganisationEvent as E;
    let [E::Founded { organisation_id, name, at }, E::MemberJoined { user_id, .. }] = facts else {
        return None;
    };
    let (organisation_id, owner, at) = (*organisation_id, *user_id, *at);
    Some(OrganisationCommand::Found { organisation_id, name: name.clone(), owner, at })
}

/// What was wished of a service account. Another name and another role may be one wish.
fn service_account_wish(facts: &[OrganisationEvent]) -> Option<OrganisationCommand> {
    use OrganisationEvent as E;
    use ServiceAccountWish as W;
    let (id, wish, at) = match facts {
        [E::ServiceAccountAdded { service_account_id, name, role, at }] => {
            (service_account_id, W::Add { name: name.clone(), role: *role }, at)
        }
        [
            E::ServiceAccountRenamed { service_account_id, name, at },
            E::ServiceAccountRoleChanged { role, .. },
        ] => (service_account_id, W::Update { name: Some(name.clone()), role: Some(*role) }, at),
        [E::ServiceAccountRenamed { service_account_id, name, at }] => {
            (service_account_id, W::Update { name: Some(name.clone()), role: None }, at)
        }
        [E::ServiceAccountRoleChanged { service_account_id, role, at }] => {
            (service_account_id, W::Update { name: None, role: Some(*role) }, at)
        }
        [E::ServiceAccountDisabled { service_account_id, at }] => {
            (service_account_id, W::Disable, at)
        }
        [E::ServiceAccountEnabled { service_account_id, at }] => {
            (service_account_id, W::Enable, at)
        }
        [E::ServiceAccountRemoved { service_account_id, at }] => {
            (service_account_id, W::Remove, at)
        }
        _ => return None,
    };
    let (service_account_id, by, at) = (*id, Role::Owner, *at);
    Some(OrganisationCommand::ServiceAccount { service_account_id, wish, by, at })
}

//! How a person proves who they are: decisions about passwords, one-time passwords and sessions.
use cairn_core::{SessionId, Timestamp};

use crate::says_why;

use super::{
    EndReason, FAILURES_MAX, LOCKED_SECS, Link, LinkPurpose, Proof, SESSIONS_MAX, Session, SignIn,
    Totp, User, UserError, UserEvent,
};

fn reasoned(reason: &str) -> Result<(), UserError> {
    says_why(reason).then_some(()).ok_or(UserError::ReasonNeeded)
}

impl User {
    pub(super) fn register(&self, registered: UserEvent) -> Result<Vec<UserEvent>, UserError> {
        let UserEvent::Registered { name, email_index, .. } = &registered else {
            return Ok(vec![]);
        };
        match name.chars().count() {
            1..=100 => {}
            _ => return Err(UserError::BadName),
        }
        match self.user_id {
            None => Ok(vec![registered]),
            Some(_) if self.email_index == *email_index => Ok(vec![]),
            Some(_) => Err(UserError::IdReused),
        }
    }

    /// The link of a purpose with this hash, if it still works.
    pub(super) fn link(
        &self,
        purpose: LinkPurpose,
        token_sha256: &str,
        at: Timestamp,
    ) -> Result<&Link, UserError> {
        let fits = |link: &&Link| {
            link.purpose == purpose && link.token_sha256 == token_sha256 && at < link.expires_at
        };
        self.links.iter().find(fits).ok_or(UserError::LinkInvalid)
    }

    /// Whoever got the code has the address, so it is verified as well.
    pub(super) fn set_password(
        &self,
        (password, renewed): (String, Option<(SessionId, String)>),
        proof: &Proof,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        let verified = match proof {
            Proof::OldPassword if self.locked(at) => return Err(UserError::Locked),
            Proof::OldPassword => None,
            Proof::Link(token_sha256) => {
                self.link(LinkPurpose::ResetPassword, token_sha256, at)?;
                (!self.verified).then_some(UserEvent::EmailVerified { at })
            }
        };
        let renewed = renewed.map(|renewed| self.renew(renewed, at)).transpose()?;
        let set = UserEvent::PasswordSet { password, at };
        Ok(verified.into_iter().chain([set]).chain(renewed).collect())
    }

    /// A session under another secret; its time stays.
    pub(super) fn renew(
        &self,
        (session_id, secret_sha256): (SessionId, String),
        at: Timestamp,
    ) -> Result<UserEvent, UserError> {
        let fits = |session: &&Session| session.session_id == session_id && at < session.ends_at;
        let known = self.sessions.iter().find(fits).ok_or(UserError::UnknownSession)?;
        let ends_at = known.ends_at;
        Ok(UserEvent::SessionRenewed { session_id, secret_sha256, ends_at, at })
    }

    pub(super) fn begin_totp(
        &self,
        secret: String,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        match self.totp {
            Totp::On { .. } => Err(UserError::TotpInUse),
            Totp::Off | Totp::Begun { .. } => Ok(vec![UserEvent::TotpBegun { secret, at }]),
        }
    }

    /// Whoever has taken a session over does not try one password after the other.
    pub(super) fn remove_totp(&self, at: Timestamp) -> Result<Vec<UserEvent>, UserError> {
        match self.totp {
            Totp::Off => Ok(vec![]),
            Totp::Begun { .. } | Totp::On { .. } if self.locked(at) => Err(UserError::Locked),
            Totp::Begun { .. } | Totp::On { .. } => Ok(vec![UserEvent::TotpRemoved { at }]),
        }
    }

    pub(super) fn confirm_totp(
        &self,
        step: u64,
        recovery_sha256: Vec<String>,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        match self.totp {
            Totp::Begun { .. } => Ok(vec![UserEvent::TotpConfirmed { step, recovery_sha256, at }]),
            Totp::On { .. } => Err(UserError::TotpInUse),
            Totp::Off => Err(UserError::TotpNotBegun),
        }
    }

    /// Until when nobody gets in with a password.
    #[must_use]
    pub fn locked(&self, at: Timestamp) -> bool {
        let recent = self.failed_at.is_some_and(|last| at.secs_since(last) <= LOCKED_SECS);
        self.failures >= FAILURES_MAX && recent
    }

    pub(super) fn sign_in(&self, sign_in: SignIn) -> Result<Vec<UserEvent>, UserError> {
        let SignIn {
            session_id,
            secret_sha256,
            password,
            factor,
            identity,
            passkey,
            recovery_sha256,
            step,
            ends_at,
            at,
        } = sign_in;
        if self.sessions.iter().any(|session| session.session_id == session_id) {
            return Ok(vec![]);
        }
        if self.locked(at) {
            return Err(UserError::Locked);
        }
        let used = passkey.map(|shown| self.passkey_used(shown, at)).transpose()?;
        let stands_in = used.is_some() || identity.is_some();
        match &identity {
            Some(identity_index) if !self.is_linked(identity_index) => {
                return Err(UserError::UnknownIdentity);
            }
            None if !stands_in && (self.password.is_empty() || password != self.password) => {
                return Err(UserError::PasswordChanged);
            }
            Some(_) | None => {}
        }
        if !self.verified {
            return Err(UserError::EmailUnverified);
        }
        if !stands_in {
            self.second_factor(step, recovery_sha256.as_deref())?;
        }
        let open = self.sessions.iter().filter(|session| session.ends_at > at);
        let surplus = (open.clone().count() + 1).saturating_sub(SESSIONS_MAX);
        let displaced = open.take(surplus).map(|session| UserEvent::SessionEnded {
            session_id: session.session_id,
            why: EndReason::Displaced,
            at,
        });
        let signed_in = UserEvent::SignedIn {
            session_id,
            secret_sha256,
            factor,
            step,
            recovery_sha256,
            ends_at,
            at,
        };
        Ok(displaced.chain(used).chain([signed_in]).collect())
    }

    pub(super) fn end_session(
        &self,
        session_id: SessionId,
        why: EndReason,
        at: Timestamp,
    ) -> Result<UserEvent, UserError> {
        let known = self.sessions.iter().any(|session| session.session_id == session_id);
        let ended = known.then_some(UserEvent::SessionEnded { session_id, why, at });
        ended.ok_or(UserError::UnknownSession)
    }

    /// Whoever gets in has not failed.
    pub(super) fn opened(&mut self, session: Session, at: Timestamp) {
        self.sessions.retain(|known| known.ends_at > at);
        self.sessions.push(session);
        (self.failures, self.failed_at) = (0, None);
    }

    pub(super) fn over(&mut self, session_id: SessionId) {
        self.sessions.retain(|session| session.session_id != session_id);
    }

    pub(super) fn begin_anew(&mut self) {
        self.password.clear();
        self.sessions.clear();
    }

    pub(super) fn end_sessions(
        &self,
        reason: String,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        reasoned(&reason)?;
        let any = self.sessions.iter().any(|session| session.ends_at > at);
        Ok(any.then_some(UserEvent::SessionsEnded { reason, at }).into_iter().collect())
    }

    /// The password goes as well: whoever knows it and talks an operator over must have the address too.
    pub(super) fn reset_factors(
        &self,
        reason: String,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        reasoned(&reason)?;
        let totp = (self.totp != Totp::Off).then_some(UserEvent::TotpRemoved { at });
        let passkeys = self.passkeys.iter().map(|held| {
            let credential_sha256 = held.credential_sha256.clone();
            UserEvent::PasskeyRemoved { credential_sha256, at }
        });
        let mut events: Vec<_> = totp.into_iter().chain(passkeys).collect();
        if !events.is_empty() || !self.password.is_empty() {
            events.push(UserEvent::FactorsReset { reason, at });
        }
        Ok(events)
    }

    /// Failures count while they are in a row.
    pub(super) fn fail(&mut self, at: Timestamp) {
        let is_old = self.failed_at.is_some_and(|last| at.secs_since(last) > LOCKED_SECS);
        self.failures = if is_old { 1 } else { self.failures + 1 };
        self.failed_at = Some(at);
    }

    fn second_factor(&self, step: Option<u64>, recovery: Option<&str>) -> Result<(), UserError> {
        let Totp::On { last_step, recovery_sha256, .. } = &self.totp else { return Ok(()) };
        match (step, recovery) {
            (Some(step), _) if step > *last_step => Ok(()),
            (Some(_), _) => Err(UserError::CodeUsed),
            (None, Some(code)) if recovery_sha256.iter().any(|known| known == code) => Ok(()),
            (None, Some(_)) => Err(UserError::CodeUsed),
            (None, None) => Err(UserError::CodeNeeded),
        }
    }

    /// No one-time password works twice, nor one from before it.
    pub(super) fn use_up(&mut self, step: Option<u64>, recovery: Option<&str>) {
        if let Totp::On { last_step, recovery_sha256, .. } = &mut self.totp {
            *last_step = step.unwrap_or(*last_step);
            recovery_sha256.retain(|known| Some(known.as_str()) != recovery);
        }
    }
}

//! Who comes, goes, and becomes what: decisions about members.
use cairn_core::{OrganisationId, Timestamp, UserId};

use super::{
    INVITATIONS_MAX, Invite, MEMBERS_MAX, Organisation, OrganisationError, OrganisationEvent, named,
};
use crate::Role;

impl Organisation {
    pub(super) fn found(
        &self,
        (organisation_id, owner): (OrganisationId, UserId),
        name: String,
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        named(&name)?;
        match (self.organisation_id, self.role_of(owner)) {
            (None, _) => Ok(vec![
                OrganisationEvent::Founded { organisation_id, name, at },
                OrganisationEvent::MemberJoined {
                    user_id: owner,
                    role: Role::Owner,
                    invitation_id: None,
                    at,
                },
            ]),
            (Some(_), Some(Role::Owner)) => Ok(vec![]),
            (Some(_), _) => Err(OrganisationError::IdReused),
        }
    }

    /// The role of a member.
    #[must_use]
    pub fn role_of(&self, user_id: UserId) -> Option<Role> {
        self.members.iter().find(|member| member.user_id == user_id).map(|member| member.role)
    }

    pub(super) fn invite(
        &self,
        invite: Invite,
        by: Role,
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        let Invite { invitation_id, email, email_index, role, token, token_sha256, expires_at } =
            invite;
        if !by.may_give(role) {
            return Err(OrganisationError::RoleTooHigh);
        }
        if self.invitations.iter().any(|known| known.invitation_id == invitation_id) {
            return Ok(vec![]);
        }
        let open = self.invitations.iter().filter(|known| known.expires_at > at);
        if open.clone().count() >= INVITATIONS_MAX {
            return Err(OrganisationError::TooMany);
        }
        // The newest invitation of an address is the one that counts.
        let old = open.filter(|known| known.email_index == email_index);
        let old = old.map(|known| OrganisationEvent::InvitationRevoked {
            invitation_id: known.invitation_id,
            at,
        });
        let invited = OrganisationEvent::MemberInvited {
            invitation_id,
            email,
            email_index: email_index.clone(),
            role,
            token,
            token_sha256,
            expires_at,
            at,
        };
        Ok(old.chain([invited]).collect())
    }

    pub(super) fn join(
        &self,
        token_sha256: &str,
        (user_id, email_index): (UserId, &str),
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        let fits = |known: &&super::Invitation| {
            known.token_sha256 == token_sha256 && at < known.expires_at
        };
        let invitation = self.invitations.iter().find(fits);
        let invitation = invitation.ok_or(OrganisationError::UnknownInvitation)?;
        if invitation.email_index != email_index {
            return Err(OrganisationError::InvitedOtherwise);
        }
        if self.role_of(user_id).is_some() {
            return Err(OrganisationError::MemberAlready);
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(OrganisationError::TooMany);
        }
        Ok(vec![OrganisationEvent::MemberJoined {
            user_id,
            role: invitation.role,
            invitation_id: Some(invitation.invitation_id),
            at,
        }])
    }

    pub(super) fn change_role(
        &self,
        (user_id, role): (UserId, Role),
        by: Role,
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        let known = self.role_of(user_id).ok_or(OrganisationError::UnknownMember)?;
        if !by.may_give(role) || !by.may_give(known) {
            return Err(OrganisationError::RoleTooHigh);
        }
        if known == role {
            return Ok(vec![]);
        }
        if self.is_last_owner(user_id) {
            return Err(OrganisationError::LastOwner);
        }
        Ok(vec![OrganisationEvent::RoleChanged { user_id, role, at }])
    }

    pub(super) fn remove(
        &self,
        user_id: UserId,
        by: Option<Role>,
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        let known = self.role_of(user_id).ok_or(OrganisationError::UnknownMember)?;
        if by.is_some_and(|by| !by.may_give(known)) {
            return Err(OrganisationError::RoleTooHigh);
        }
        if self.is_last_owner(user_id) {
            return Err(OrganisationError::LastOwner);
        }
        Ok(vec![OrganisationEvent::MemberLeft { user_id, at }])
    }

    /// Whether it has no other owner.
    #[must_use]
    pub fn is_last_owner(&self, user_id: UserId) -> bool {
        let mut owners = self.members.iter().filter(|member| member.role == Role::Owner);
        owners.next().is_some_and(|owner| owner.user_id == user_id) && owners.next().is_none()
    }
}

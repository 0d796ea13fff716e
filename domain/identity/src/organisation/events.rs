//! What happens to an organisation.
use cairn_core::{
    GrantId, InvitationId, OrganisationId, ProjectId, ServiceAccountId, Text, Texts, Timestamp,
    UserId, domain_event,
};
use serde::{Deserialize, Serialize};

use crate::Role;

/// What has happened to an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum OrganisationEvent {
    #[serde(rename = "organisation.founded")]
    Founded { organisation_id: OrganisationId, name: String, at: Timestamp },
    /// Whether whoever acts for it must have shown two factors.
    #[serde(rename = "organisation.second_factor_rule_set")]
    SecondFactorRuleSet { demanded: bool, at: Timestamp },
    #[serde(rename = "organisation.renamed")]
    Renamed { name: String, at: Timestamp },
    /// A code is to be sent to the address.
    #[serde(rename = "organisation.member_invited")]
    MemberInvited {
        invitation_id: InvitationId,
        email: String,
        /// What the address is found by.
        email_index: String,
        role: Role,
        token: String,
        token_sha256: String,
        expires_at: Timestamp,
        at: Timestamp,
    },
    #[serde(rename = "organisation.invitation_revoked")]
    InvitationRevoked { invitation_id: InvitationId, at: Timestamp },
    #[serde(rename = "organisation.member_joined")]
    MemberJoined {
        user_id: UserId,
        role: Role,
        /// None is needed by who founds it.
        invitation_id: Option<InvitationId>,
        at: Timestamp,
    },
    #[serde(rename = "organisation.role_changed")]
    RoleChanged { user_id: UserId, role: Role, at: Timestamp },
    #[serde(rename = "organisation.member_left")]
    MemberLeft { user_id: UserId, at: Timestamp },
    /// The platform's support may look.
    #[serde(rename = "organisation.support_granted")]
    SupportGranted { grant_id: GrantId, reason: String, expires_at: Timestamp, at: Timestamp },
    #[serde(rename = "organisation.grant_ended")]
    GrantEnded { grant_id: GrantId, at: Timestamp },
    /// It changes nothing any more but its balance.
    #[serde(rename = "organisation.suspended")]
    Suspended { reason: String, at: Timestamp },
    #[serde(rename = "organisation.resumed")]
    Resumed { reason: String, at: Timestamp },
    /// A program acts for it from now on, by keys that are assigned to it.
    #[serde(rename = "organisation.service_account_added")]
    ServiceAccountAdded {
        service_account_id: ServiceAccountId,
        name: String,
        role: Role,
        at: Timestamp,
    },
    #[serde(rename = "organisation.service_account_renamed")]
    ServiceAccountRenamed { service_account_id: ServiceAccountId, name: String, at: Timestamp },
    /// Its keys have this role from now on.
    #[serde(rename = "organisation.service_account_role_changed")]
    ServiceAccountRoleChanged { service_account_id: ServiceAccountId, role: Role, at: Timestamp },
    /// Its keys open nothing.
    #[serde(rename = "organisation.service_account_disabled")]
    ServiceAccountDisabled { service_account_id: ServiceAccountId, at: Timestamp },
    #[serde(rename = "organisation.service_account_enabled")]
    ServiceAccountEnabled { service_account_id: ServiceAccountId, at: Timestamp },
    /// Its keys open nothing any more.
    #[serde(rename = "organisation.service_account_removed")]
    ServiceAccountRemoved { service_account_id: ServiceAccountId, at: Timestamp },
    /// Rentals may be sorted into it.
    #[serde(rename = "organisation.project_created")]
    ProjectCreated { project_id: ProjectId, name: String, at: Timestamp },
    #[serde(rename = "organisation.project_renamed")]
    ProjectRenamed { project_id: ProjectId, name: String, at: Timestamp },
    /// It takes no new rental. Final.
    #[serde(rename = "organisation.project_archived")]
    ProjectArchived { project_id: ProjectId, at: Timestamp },
}

domain_event!(OrganisationEvent {
    Founded => "organisation.founded", 1;
    Renamed => "organisation.renamed", 1;
    SecondFactorRuleSet => "organisation.second_factor_rule_set", 1;
    MemberInvited => "organisation.member_invited", 1;
    InvitationRevoked => "organisation.invitation_revoked", 1;
    MemberJoined => "organisation.member_joined", 1;
    RoleChanged => "organisation.role_changed", 1;
    MemberLeft => "organisation.member_left", 1;
    SupportGranted => "organisation.support_granted", 1;
    GrantEnded => "organisation.grant_ended", 1;
    Suspended => "organisation.suspended", 1;
    Resumed => "organisation.resumed", 1;
    ServiceAccountAdded => "organisation.service_account_added", 1;
    ServiceAccountRenamed => "organisation.service_account_renamed", 1;
    ServiceAccountRoleChanged => "organisation.service_account_role_changed", 1;
    ServiceAccountDisabled => "organisation.service_account_disabled", 1;
    ServiceAccountEnabled => "organisation.service_account_enabled", 1;
    ServiceAccountRemoved => "organisation.service_account_removed", 1;
    ProjectCreated => "organisation.project_created", 1;
    ProjectRenamed => "organisation.project_renamed", 1;
    ProjectArchived => "organisation.project_archived", 1;
});

impl Texts for OrganisationEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("organisation_id", Text::Kept),
        ("name", Text::Name),
        ("invitation_id", Text::Kept),
        ("email", Text::Name),
        ("email_index", Text::Hash),
        ("role", Text::Kept),
        ("token", Text::Credential),
        ("token_sha256", Text::Hash),
        ("user_id", Text::Kept),
        ("grant_id", Text::Kept),
        ("service_account_id", Text::Kept),
        ("project_id", Text::Kept),
        ("reason", Text::Said),
        ("expires_at", Text::Kept),
        ("at", Text::Kept),
    ];
}

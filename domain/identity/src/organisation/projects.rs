//! Projects: what an organisation sorts its rentals into, to see what each costs. Rentals name theirs when they begin, and stay in it.
//!
//! Lifecycle: `live → archived`, and not back. An archived one takes no new rental; what runs in it runs on and counts in it.
use cairn_core::{ProjectId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Organisation, OrganisationError, OrganisationEvent, PROJECTS_MAX};

/// A project. Its name is in its events alone: nothing is decided by it, and two may have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Project {
    pub project_id: ProjectId,
    pub archived: bool,
}

/// What may be asked of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ProjectWish {
    Create { name: String },
    Rename { name: String },
    Archive,
}

impl Organisation {
    /// Whether a new rental may be in a project.
    ///
    /// # Errors
    /// `unknown_project`, `project_archived`.
    pub fn takes_rentals(&self, project_id: ProjectId) -> Result<(), OrganisationError> {
        match self.project(project_id) {
            None => Err(OrganisationError::UnknownProject),
            Some(known) if known.archived => Err(OrganisationError::ProjectArchived),
            Some(_) => Ok(()),
        }
    }

    /// Whether a project is there, archived or not.
    ///
    /// # Errors
    /// `unknown_project`.
    pub fn has_project(&self, project_id: ProjectId) -> Result<(), OrganisationError> {
        self.project(project_id).map(drop).ok_or(OrganisationError::UnknownProject)
    }

    fn project(&self, project_id: ProjectId) -> Option<&Project> {
        self.projects.iter().find(|known| known.project_id == project_id)
    }

    pub(super) fn decide_project(
        &self,
        project_id: ProjectId,
        wish: ProjectWish,
        at: Timestamp,
    ) -> Result<Vec<OrganisationEvent>, OrganisationError> {
        use OrganisationEvent as E;
        match (wish, self.project(project_id)) {
            (ProjectWish::Create { name }, known) => {
                named(&name)?;
                match known {
                    Some(_) => Ok(vec![]),
                    None if self.projects.len() >= PROJECTS_MAX => Err(OrganisationError::TooMany),
                    None => Ok(vec![E::ProjectCreated { project_id, name, at }]),
                }
            }
            (ProjectWish::Rename { .. } | ProjectWish::Archive, None) => {
                Err(OrganisationError::UnknownProject)
            }
            (ProjectWish::Rename { name }, Some(known)) => {
                named(&name)?;
                if known.archived {
                    return Err(OrganisationError::ProjectArchived);
                }
                Ok(vec![E::ProjectRenamed { project_id, name, at }])
            }
            (ProjectWish::Archive, Some(known)) if known.archived => Ok(vec![]),
            (ProjectWish::Archive, Some(_)) => Ok(vec![E::ProjectArchived { project_id, at }]),
        }
    }

    pub(super) fn archive_project(&mut self, project_id: ProjectId) {
        let known = self.projects.iter_mut().find(|known| known.project_id == project_id);
        if let Some(known) = known {
            known.archived = true;
        }
    }
}

fn named(name: &str) -> Result<(), OrganisationError> {
    match name.chars().count() {
        1..=100 => Ok(()),
        _ => Err(OrganisationError::BadProjectName),
    }
}

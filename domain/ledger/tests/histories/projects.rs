//! What projects may use, and did, beside the whole.
use std::collections::BTreeMap;

use cairn_core::ProjectId;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projects {
    of_hold: BTreeMap<String, ProjectId>,
    stops: BTreeMap<ProjectId, i64>,
    /// Under no project what is in none.
    pub spent: BTreeMap<Option<ProjectId>, i64>,
}

impl Projects {
    pub fn assign(&mut self, hold: &str, project: Option<ProjectId>) {
        self.of_hold.extend(project.map(|project| (hold.to_owned(), project)));
    }

    pub fn limit(&mut self, project: ProjectId, stop: Option<i64>) {
        self.stops.remove(&project);
        self.stops.extend(stop.map(|stop| (project, stop)));
    }

    pub fn of(&self, hold: &str) -> Option<ProjectId> {
        self.of_hold.get(hold).copied()
    }

    pub fn count(&mut self, hold: &str, amount: i64) {
        *self.spent.entry(self.of(hold)).or_default() += amount;
    }

    /// How much more may be set aside in a project, when each hold has so much.
    pub fn room<'a>(
        &self,
        project: Option<ProjectId>,
        holds: impl Iterator<Item = (&'a String, i64)>,
    ) -> Option<i64> {
        let stop = self.stops.get(&project?)?;
        let aside: i64 = holds.filter(|(id, _)| self.of(id) == project).map(|(_, it)| it).sum();
        Some((stop - self.spent.get(&project).copied().unwrap_or_default() - aside).max(0))
    }
}

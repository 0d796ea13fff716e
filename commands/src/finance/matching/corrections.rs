//! Corrections that settle a break: which postings they are, and what they belong to.
use cairn_core::{BreakId, Timestamp};
use cairn_finance::{BreakType, break_id};

use super::super::rows::{Leg, Line};
use super::keys::line_key;
use super::{Index, Verdict};

/// The case whose resolution posted this: `source_id` is its id with the number of the posting behind it.
pub(in super::super) fn case_of(leg: &Leg) -> Option<BreakId> {
    if leg.source != "break" {
        return None;
    }
    leg.source_id.split(':').next()?.parse().ok()
}

impl<'a> Index<'a> {
    /// What was posted to settle this break of a line or of a posting without one.
    pub(super) fn corrections_of(
        &self,
        verdict: &Verdict,
        line: Option<&Line>,
        leg: Option<&Leg>,
    ) -> &[&'a Leg] {
        let found = case(verdict, line, leg).and_then(|id| self.corrections.get(&id));
        found.map_or(&[], Vec::as_slice)
    }

    /// What accounts for a posting: when it was, and whether it is judged in this period.
    pub(super) fn counterpart(&self, leg: &Leg) -> Option<(Timestamp, bool)> {
        match self.line_of(leg) {
            Some(line) => Some((line.created_at, self.period.contains(line.created_at))),
            None => self.corrected(leg),
        }
    }

    /// A posting that no line accounts for.
    pub(super) fn judge_leg(&self, leg: &Leg) -> Verdict {
        if self.period.is_young(leg.occurred_at) {
            return Verdict::Expected("the provider's book does not have it yet");
        }
        let message = "our books have it, the provider's book does not".to_owned();
        Verdict::Break(BreakType::MissingExternal, message)
    }

    /// What a correction corrects, as long as that is still the break that it was.
    fn corrected(&self, correction: &Leg) -> Option<(Timestamp, bool)> {
        let id = case_of(correction)?;
        let subject = self.subjects.get(&id)?;
        if let Some(line_id) = &subject.transaction_id {
            let said = self.contents.get(line_id.as_str())?;
            let changed = subject.break_type == BreakType::Changed;
            let line = if changed { said.last() } else { said.first() }.copied()?;
            let gross = line_key(line).and_then(|key| self.legs.get(&key).copied());
            let same = case(&self.judge(line), Some(line), gross) == Some(id);
            return same.then(|| (line.created_at, self.is_in_period(line)));
        }
        let leg = self.by_reference.get(subject.reference.as_deref()?).copied()?;
        let missing = self.line_of(leg).is_none() && self.corrected(leg).is_none();
        let same = missing && case(&self.judge_leg(leg), None, Some(leg)) == Some(id);
        same.then(|| (leg.occurred_at, self.period.contains(leg.occurred_at)))
    }
}

fn case(verdict: &Verdict, line: Option<&Line>, leg: Option<&Leg>) -> Option<BreakId> {
    let Verdict::Break(kind, _) = verdict else { return None };
    let reference = leg.map(Leg::reference);
    Some(break_id(*kind, line.map(|line| line.id.as_str()), reference.as_deref()))
}

//! What may be subscribed to, and by whom: a stream tells a caller what the caller could read as well, and nothing else.
use std::fmt;
use std::str::FromStr;

use cairn_core::{AllocationId, NodeId, OrganisationId};

use super::frame::Frame;
use super::source::Source;
use crate::auth::{Caller, Scope, table};
use crate::problem::{Missing, Problem};

/// What can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// `org:<id>`: everything of an organisation.
    Organisation(OrganisationId),
    /// `alloc:<id>`: one allocation.
    Allocation(AllocationId),
    /// `node:<id>`: one node, for operators.
    Node(NodeId),
    /// `sku:<id>`: one SKU.
    Sku(String),
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sub {
    /// To what.
    pub stream: Stream,
    /// What comes after this position; `None`: what comes from now on.
    pub after: Option<i64>,
}

/// The operation that reads what a family's events tell of: the table says who may, and how far they see.
const READS: &[(&str, &str)] = &[
    ("allocation", "get_allocation"),
    ("auto_top_up", "get_auto_top_up"),
    ("credit_note_series", "get_invoice"),
    ("dunning", "get_balance"),
    ("invoice_series", "get_invoice"),
    ("node", "get_node"),
    ("payment", "get_top_up"),
    ("refund", "get_refund"),
    ("sku", "get_sku"),
    ("wallet", "get_statement"),
];

/// How far somebody sees in each family.
#[derive(Debug, Clone)]
pub struct Sight {
    own: OrganisationId,
    families: Vec<(&'static str, Scope)>,
}

impl Sight {
    /// Of a caller.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        let scope =
            |operation| table::rule(operation).map_or(Scope::None, |r| r.scope(caller.role));
        let families = READS.iter().map(|(family, reads)| (*family, scope(reads))).collect();
        Self { own: caller.organisation_id, families }
    }

    /// The families they see anything of.
    pub fn families(&self) -> impl Iterator<Item = &'static str> {
        let seen = self.families.iter().filter(|(_, scope)| *scope != Scope::None);
        seen.map(|(family, _)| *family)
    }

    fn scope(&self, family: &str) -> Scope {
        let found = self.families.iter().find(|(known, _)| *known == family);
        found.map_or(Scope::None, |(_, scope)| *scope)
    }

    /// Whether a thing of this family and owner exists for them.
    fn sees(&self, family: &str, owner: Option<OrganisationId>) -> bool {
        match self.scope(family) {
            Scope::All => true,
            Scope::Own => owner == Some(self.own),
            Scope::None => false,
        }
    }

    /// Whether a frame is for them.
    pub fn shows(&self, frame: &Frame) -> bool {
        self.sees(&frame.family, frame.owner)
    }
}

/// The text names no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoStream;

impl FromStr for Stream {
    type Err = NoStream;

    fn from_str(text: &str) -> Result<Self, NoStream> {
        let (kind, id) = text.split_once(':').ok_or(NoStream)?;
        match kind {
            "org" => id.parse().map(Self::Organisation).map_err(|_| NoStream),
            "alloc" => id.parse().map(Self::Allocation).map_err(|_| NoStream),
            "node" => id.parse().map(Self::Node).map_err(|_| NoStream),
            "sku" if !id.is_empty() && id.len() <= 100 => Ok(Self::Sku(id.to_owned())),
            _ => Err(NoStream),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(id) => write!(f, "org:{id}"),
            Self::Allocation(id) => write!(f, "alloc:{id}"),
            Self::Node(id) => write!(f, "node:{id}"),
            Self::Sku(id) => write!(f, "sku:{id}"),
        }
    }
}

impl Stream {
    /// Reads what a caller named.
    ///
    /// # Errors
    /// `query_invalid`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|NoStream| {
            let detail = "a stream is org:org_…, alloc:alloc_…, node:node_… or sku:<id>";
            Problem::new("query_invalid", detail)
        })
    }

    /// Whether a frame belongs to it.
    #[must_use]
    pub fn has(&self, frame: &Frame) -> bool {
        let is = |family: &str, id: &dyn fmt::Display| {
            frame.family == family && frame.subject_id == id.to_string()
        };
        match self {
            Self::Organisation(id) => frame.owner == Some(*id),
            Self::Allocation(id) => is("allocation", id),
            Self::Node(id) => is("node", id),
            Self::Sku(id) => is("sku", id),
        }
    }

    /// Whether it exists for somebody.
    pub async fn admit(&self, sight: &Sight, source: &Source) -> Result<(), Problem> {
        let (family, id, missing) = match self {
            Self::Organisation(id) => {
                let sees_all = sight.families.iter().any(|(family, scope)| {
                    !matches!(*family, "sku" | "node") && *scope == Scope::All
                });
                let seen = sees_all || *id == sight.own;
                return seen.then_some(()).ok_or_else(|| Problem::missing(Missing::Organisation));
            }
            Self::Allocation(id) => ("allocation", id.to_string(), Missing::Allocation),
            Self::Node(id) => ("node", id.to_string(), Missing::Node),
            Self::Sku(id) => ("sku", id.clone(), Missing::Sku),
        };
        if sight.scope(family) == Scope::None {
            return Err(Problem::new("forbidden", format!("this role reads no {family}")));
        }
        match source.owner_of(family, &id).await? {
            Some(owner) if sight.sees(family, owner) => Ok(()),
            _ => Err(Problem::missing(missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NoStream, Stream};

    #[test]
    fn a_stream_is_what_its_text_says_and_nothing_else_is_one() {
        let id = "0".repeat(26);
        for text in
            [format!("org:org_{id}"), format!("alloc:alloc_{id}"), format!("node:node_{id}")]
        {
            assert_eq!(text.parse::<Stream>().unwrap().to_string(), text);
        }
        assert_eq!("sku:small".parse::<Stream>().unwrap().to_string(), "sku:small");
        for text in ["", "org", "org:", "sku:", "alloc:org_1", "user:1", "org_1"] {
            assert_eq!(text.parse::<Stream>(), Err(NoStream), "{text}");
        }
    }
}

//! Looking for texts that should be readable nowhere: in every table of every schema, in every column that can hold a text.
//!
//! The database looks, so nothing of it leaves. Rows of other subjects are theirs: a text that they have as well is counted apart.
use cairn_core::Subject;
use serde::Serialize;
use sqlx::{PgConnection, Row as _};

use super::known::{Archived, Canaries};

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScannedTable {
    /// Schema and name.
    pub table: String,
    /// Rows that were looked through.
    pub rows: i64,
    /// Rows in which something can be read.
    pub found: i64,
    /// Rows of other subjects that have the same text.
    pub of_others: i64,
}

/// Where something can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Schema and name.
    pub table: String,
    /// In which column.
    pub column: String,
    /// In how many rows.
    pub rows: i64,
    /// Where the first of them lies: `ctid`, or a position of the log.
    pub first: String,
}

/// What was looked through and found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Scan {
    /// How many texts were looked for.
    pub texts: u64,
    /// Every table.
    pub tables: Vec<ScannedTable>,
    /// Where something can be read.
    pub found: Vec<Found>,
}

impl Scan {
    /// Rows that were looked through.
    #[must_use]
    pub fn rows(&self) -> u64 {
        sum(self.tables.iter().map(|table| table.rows))
    }

    /// Rows in which something can be read.
    #[must_use]
    pub fn found_rows(&self) -> u64 {
        sum(self.tables.iter().map(|table| table.found))
    }
}

impl Scan {
    /// The same with what the archive holds: nothing of it is in a table.
    #[must_use]
    pub(super) fn with_archived(mut self, archived: Archived) -> Self {
        let Archived { events: rows, readable: found, first } = archived;
        if rows > 0 {
            let table = "archive".to_owned();
            self.tables.push(ScannedTable { table, rows, found, of_others: 0 });
        }
        if let Some(first) = first {
            let (table, column) = ("archive".to_owned(), "payload".to_owned());
            let first = format!("position {first}");
            self.found.push(Found { table, column, rows: found, first });
        }
        self
    }
}

fn sum(counts: impl Iterator<Item = i64>) -> u64 {
    u64::try_from(counts.sum::<i64>()).unwrap_or_default()
}

/// A table and its columns.
struct Place {
    schema: String,
    name: String,
    columns: Vec<(String, String)>,
}

/// Looks through all that this connection can see: the owner of the schema sees all.
///
/// # Errors
/// The database's.
pub async fn scan(
    db: &mut PgConnection,
    subject: &Subject,
    canaries: &Canaries,
) -> Result<Scan, sqlx::Error> {
    let mut scan = Scan { texts: canaries.len(), ..Scan::default() };
    let wanted = Wanted::new(subject, canaries);
    for place in places(db).await? {
        let row = wanted.ask(db, &place.counting()).await?;
        let table = place.title();
        let (rows, found, of_others) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        scan.tables.push(ScannedTable { table: table.clone(), rows, found, of_others });
        if found == 0 {
            continue;
        }
        for (column, _) in &place.columns {
            let row = wanted.ask(db, &place.locating(column)).await?;
            let (rows, first): (i64, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(first) = first {
                let (table, column) = (table.clone(), column.clone());
                scan.found.push(Found { table, column, rows, first });
            }
        }
    }
    Ok(scan)
}

/// Every table of this database but the server's own.
async fn places(db: &mut PgConnection) -> Result<Vec<Place>, sqlx::Error> {
    let columns = sqlx::query!(
        r#"SELECT n.nspname AS "schema!", c.relname AS "name!", a.attname AS "column!",
                  format_type(a.atttypid, NULL) AS "kind!"
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           JOIN pg_type t ON t.oid = a.atttypid
           WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema'
             AND n.nspname NOT LIKE 'pg\_%' AND t.typcategory NOT IN ('B', 'D', 'N', 'T')
           ORDER BY n.nspname, c.relname, a.attnum"#
    );
    let mut places: Vec<Place> = vec![];
    for row in columns.fetch_all(db).await? {
        let column = (row.column, row.kind);
        match places.last_mut() {
            Some(last) if last.schema == row.schema && last.name == row.name => {
                last.columns.push(column);
            }
            _ => {
                let (schema, name) = (row.schema, row.name);
                places.push(Place { schema, name, columns: vec![column] });
            }
        }
    }
    Ok(places)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Place {
    fn title(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    fn table(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// A column as text. Bytes are looked at as text as well.
    fn text(column: &str, kind: &str) -> String {
        let name = quoted(column);
        if kind == "bytea" { format!("encode({name}, 'escape')") } else { format!("{name}::text") }
    }

    /// Whose a row is, as far as it says.
    fn owner(&self) -> String {
        // What a provider sent is about a payment or a refund of somebody's.
        let about = (self.name == "payments_webhook_inbox").then(|| {
            ["payments_payments", "payments_refunds"].map(|table| {
                format!("(SELECT o.organisation_id FROM public.{table} o WHERE o.provider_id = subject_id LIMIT 1)")
            })
        });
        let owner = self.columns.iter().filter_map(|(column, kind)| {
            match (column.as_str(), kind.as_str()) {
                ("organisation_id", _) => Some("organisation_id::text".to_owned()),
                ("metadata" | "origin", "json" | "jsonb") => {
                    Some(format!("{} ->> 'organisation_id'", quoted(column)))
                }
                _ => None,
            }
        });
        let about = about.into_iter().flatten();
        let owners: Vec<_> = owner.chain(about).chain(["NULL::text".to_owned()]).collect();
        format!("coalesce({})", owners.join(", "))
    }

    /// Columns as lines, each after its name.
    fn lines(columns: &[(String, String)]) -> String {
        let line = |(name, kind): &(String, String)| {
            format!("'{}=' || {} || E'\\n'", name.replace('\'', "''"), Self::text(name, kind))
        };
        format!("concat({})", columns.iter().map(line).collect::<Vec<_>>().join(", "))
    }

    /// `$1` is the subject's id, `$2` what is found anywhere, `$3` what is found only in a row of the subject.
    fn rows(&self, columns: &[(String, String)]) -> String {
        format!(
            "SELECT place, whose IS NOT NULL AND whose <> $1 AS others,
                    EXISTS (SELECT FROM unnest($2::text[]) c WHERE strpos(said, c) > 0) AS strong,
                    (whose = $1 OR strpos(whole, $1) > 0)
                        AND EXISTS (SELECT FROM unnest($3::text[]) c WHERE strpos(said, c) > 0) AS weak
             FROM (SELECT ctid::text AS place, {owner} AS whose, {whole} AS whole, {said} AS said
                   FROM {table}) AS r",
            owner = self.owner(),
            whole = Self::lines(&self.columns),
            said = Self::lines(columns),
            table = self.table(),
        )
    }

    fn counting(&self) -> String {
        format!(
            "SELECT count(*), count(*) FILTER (WHERE NOT others AND (strong OR weak)),
                    count(*) FILTER (WHERE others AND strong) FROM ({}) AS s",
            self.rows(&self.columns)
        )
    }

    fn locating(&self, column: &str) -> String {
        let columns: Vec<_> =
            self.columns.iter().filter(|(name, _)| name == column).cloned().collect();
        format!(
            "SELECT count(*), min(place) FROM ({}) AS s WHERE NOT others AND (strong OR weak)",
            self.rows(&columns)
        )
    }
}

/// What is looked for, in every spelling that the database may hold it in.
struct Wanted {
    subject: String,
    strong: Vec<String>,
    weak: Vec<String>,
}

impl Wanted {
    fn new(subject: &Subject, canaries: &Canaries) -> Self {
        let strong = canaries.strong.iter().flat_map(|text| spellings(text)).collect();
        let weak = canaries.weak.iter().flat_map(|(member, text)| {
            let as_column = format!("{member}={text}\n");
            let json = serde_json::to_string(text).unwrap_or_default();
            let pairs = [format!("\"{member}\":{json}"), format!("\"{member}\": {json}")];
            pairs.into_iter().flat_map(|pair| spellings_of_json(&pair)).chain([as_column])
        });
        let weak = weak.collect();
        Self { subject: subject.id().to_owned(), strong, weak }
    }

    async fn ask(
        &self,
        db: &mut PgConnection,
        question: &str,
    ) -> Result<sqlx::postgres::PgRow, sqlx::Error> {
        let asked = sqlx::query(question).bind(&self.subject).bind(&self.strong).bind(&self.weak);
        asked.fetch_one(db).await
    }
}

/// As it is, inside JSON, and as bytes.
fn spellings(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(&json);
    let mut all = spellings_of_json(text);
    all.extend(spellings_of_json(json));
    all.sort_unstable();
    all.dedup();
    all
}

/// As it is, and as `encode(…, 'escape')` shows its bytes.
fn spellings_of_json(text: &str) -> Vec<String> {
    use std::fmt::Write as _;
    let escaped = text.bytes().fold(String::new(), |mut shown, byte| {
        match byte {
            b'\\' => shown.push_str("\\\\"),
            0x20..0x7f => shown.push(char::from(byte)),
            other => drop(write!(shown, "\\{other:03o}")),
        }
        shown
    });
    let mut all = vec![text.to_owned(), escaped];
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn a_text_is_looked_for_as_json_and_bytes_spell_it() {
        assert_eq!(spellings("Ada Lovelace"), ["Ada Lovelace"]);
        let all = spellings("Zoë \"Z\"");
        for spelled in
            ["Zoë \"Z\"", "Zoë \\\"Z\\\"", "Zo\\303\\253 \"Z\"", "Zo\\303\\253 \\\\\"Z\\\\\""]
        {
            assert!(all.iter().any(|known| known == spelled), "{spelled} is not in {all:?}");
        }
    }
}

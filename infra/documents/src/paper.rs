//! A paper as PDF: who, to whom, facts, tables, totals and notes, on as many pages of A4 as it takes.
//!
//! Latin, Greek and Cyrillic letters are drawn with Libertinus Serif, of which the paper carries the letters that it uses. A letter that the
//! typeface does not have is written as its code, `[U+4E2D]`: nobody is shown a name with holes. There is no clock and no chance in it: the same paper
//! gives the same bytes.
mod pages;
mod typeface;

use pages::{LEFT, Pages, RIGHT};
use typeface::Weight;

/// Two blocks side by side, at most.
const PARTY_WIDTH: f32 = 235.0;
const PARTY_STEP: f32 = 255.0;
const FACT_WIDTH: f32 = 110.0;
/// Between two columns of a table.
const GAP: f32 = 6.0;

const TITLE: f32 = 18.0;
const HEADING: f32 = 11.0;
const TEXT: f32 = 9.5;
const SMALL: f32 = 8.0;

/// What stands on a paper, from its top to its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paper {
    /// What it is, for example `Invoice CN-2026-000001`; stands on every page.
    pub title: String,
    /// Who issued it and to whom: at most two, side by side.
    pub parties: Vec<Party>,
    /// What is true of all of it, by name.
    pub facts: Vec<(String, String)>,
    /// Tables, one after the other.
    pub tables: Vec<Table>,
    /// What it comes to, by name; the last is set in bold.
    pub totals: Vec<(String, String)>,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// Somebody who is named on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// In which part, for example `Issued by`.
    pub role: String,
    /// Name, address and numbers, a line each.
    pub lines: Vec<String>,
}

/// A table. Its header is repeated on every page that it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Its columns.
    pub columns: Vec<TableColumn>,
    /// A cell for each column; a text that is too long for its column goes on in the next line.
    pub rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its header.
    pub title: String,
    /// Which part of the width it takes, against the other columns.
    pub share: u16,
    /// Whether its cells end on one line below each other, as amounts do.
    pub is_number: bool,
}

/// Why there is no paper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// Something is wrong with the typeface.
    #[error("the typeface cannot be used: {0}")]
    Typeface(String),
    /// A number or an offset is too large for the format.
    #[error("the paper is too large")]
    TooLarge,
}

/// Text in the width of a column.
struct Fitted {
    left: f32,
    width: f32,
    is_number: bool,
    lines: Vec<String>,
}

impl Paper {
    /// The file.
    ///
    /// # Errors
    /// [`PaperError`]
    pub fn pdf(&self) -> Result<Vec<u8>, PaperError> {
        let mut pages = Pages::try_new()?;
        pages.down(TITLE);
        pages.text(LEFT, (Weight::Bold, TITLE), &self.title);
        pages.down(HEADING);
        self.parties(&mut pages);
        for (name, value) in &self.facts {
            pair(&mut pages, (LEFT, FACT_WIDTH), (name, value));
        }
        for table in &self.tables {
            table.draw(&mut pages);
        }
        self.totals(&mut pages);
        for note in &self.notes {
            pages.down(HEADING);
            paragraph(&mut pages, note);
        }
        pages.finish(&self.title)
    }

    fn parties(&self, pages: &mut Pages) {
        let mut blocks = vec![];
        for (party, at) in self.parties.iter().take(2).zip([0.0, 1.0]) {
            let fitted = |line: &String| pages.wrapped((Weight::Regular, TEXT), line, PARTY_WIDTH);
            let lines: Vec<_> = party.lines.iter().flat_map(fitted).collect();
            blocks.push((LEFT + at * PARTY_STEP, &party.role, lines));
        }
        let most = blocks.iter().map(|(_, _, lines)| lines.len()).max().unwrap_or_default();
        pages.line(TEXT);
        for (left, role, _) in &blocks {
            pages.text(*left, (Weight::Bold, TEXT), role);
        }
        for at in 0..most {
            pages.line(TEXT);
            for (left, _, lines) in &blocks {
                if let Some(line) = lines.get(at) {
                    pages.text(*left, (Weight::Regular, TEXT), line);
                }
            }
        }
        pages.down(HEADING);
    }

    fn totals(&self, pages: &mut Pages) {
        pages.down(HEADING);
        // What a sum is of stays on its page.
        pages.keep(self.totals.len(), TEXT);
        for (at, (name, value)) in (1..).zip(&self.totals) {
            let weight = if at == self.totals.len() { Weight::Bold } else { Weight::Regular };
            pages.line(TEXT);
            pages.text(LEFT + PARTY_STEP, (weight, TEXT), name);
            pages.right(RIGHT, (weight, TEXT), value);
        }
    }
}

fn pair(pages: &mut Pages, (left, width): (f32, f32), (name, value): (&str, &str)) {
    let lines = pages.wrapped((Weight::Regular, TEXT), value, RIGHT - left - width);
    for (at, line) in lines.iter().enumerate() {
        pages.line(TEXT);
        if at == 0 {
            pages.text(left, (Weight::Bold, TEXT), name);
        }
        pages.text(left + width, (Weight::Regular, TEXT), line);
    }
}

fn paragraph(pages: &mut Pages, text: &str) {
    for line in pages.wrapped((Weight::Regular, TEXT), text, RIGHT - LEFT) {
        pages.line(TEXT);
        pages.text(LEFT, (Weight::Regular, TEXT), &line);
    }
}

impl Table {
    fn draw(&self, pages: &mut Pages) {
        pages.down(HEADING);
        let titles: Vec<_> = self.columns.iter().map(|column| column.title.clone()).collect();
        let header = self.fitted(pages, Weight::Bold, &titles);
        // Its title is not left behind on a page of its own.
        pages.keep(tallest(&header) + 3, HEADING);
        pages.line(HEADING);
        pages.text(LEFT, (Weight::Bold, HEADING), &self.title);
        draw_row(pages, Weight::Bold, &header, None);
        pages.rule();
        for row in &self.rows {
            let cells = self.fitted(pages, Weight::Regular, row);
            draw_row(pages, Weight::Regular, &cells, Some(&header));
        }
        pages.rule();
    }

    fn fitted(&self, pages: &Pages, weight: Weight, cells: &[String]) -> Vec<Fitted> {
        let all: f32 = self.columns.iter().map(|column| f32::from(column.share)).sum();
        let (mut left, mut fitted) = (LEFT, vec![]);
        for (column, cell) in self.columns.iter().zip(cells) {
            let share = (RIGHT - LEFT) * f32::from(column.share) / all.max(1.0);
            let width = (share - GAP).max(GAP);
            let lines = pages.wrapped((weight, SMALL), cell, width);
            fitted.push(Fitted { left, width, is_number: column.is_number, lines });
            left += share;
        }
        fitted
    }
}

fn tallest(cells: &[Fitted]) -> usize {
    cells.iter().map(|cell| cell.lines.len()).max().unwrap_or_default()
}

/// Line by line, as a row may be taller than a page.
fn draw_row(pages: &mut Pages, weight: Weight, cells: &[Fitted], header: Option<&[Fitted]>) {
    let tall = tallest(cells);
    for at in 0..tall {
        let fits = if at == 0 { pages.has_room(tall, SMALL) } else { pages.has_room(1, SMALL) };
        if let (false, Some(header)) = (fits, header) {
            pages.turn();
            draw_row(pages, Weight::Bold, header, None);
            pages.rule();
        }
        pages.line(SMALL);
        for cell in cells {
            if let Some(line) = cell.lines.get(at) {
                if cell.is_number {
                    pages.right(cell.left + cell.width, (weight, SMALL), line);
                } else {
                    pages.text(cell.left, (weight, SMALL), line);
                }
            }
        }
    }
    pages.down(2.0);
}

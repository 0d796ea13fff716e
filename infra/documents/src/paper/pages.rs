//! Pages of A4 that fill from the top; numbers go below when all are there.
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use std::io::Write as _;

use super::PaperError;
use super::typeface::{Typeface, Weight};

const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const TOP: f32 = HEIGHT - 50.0;
const BOTTOM: f32 = 60.0;
const FOOT: f32 = 36.0;
const FOOT_SIZE: f32 = 8.0;
/// From line to line, against the size of the letters.
const LEADING: f32 = 1.3;

pub(super) const LEFT: f32 = 50.0;
pub(super) const RIGHT: f32 = WIDTH - 50.0;

/// A weight and a size.
pub(super) type Type = (Weight, f32);

pub(super) struct Pages {
    regular: Typeface,
    bold: Typeface,
    done: Vec<Content>,
    page: Content,
    /// Of the line that is written on.
    baseline: f32,
}

impl Pages {
    pub(super) fn try_new() -> Result<Self, PaperError> {
        let (regular, bold) = (Typeface::load(Weight::Regular)?, Typeface::load(Weight::Bold)?);
        Ok(Self { regular, bold, done: vec![], page: Content::new(), baseline: TOP })
    }

    /// Leaves space.
    pub(super) fn down(&mut self, points: f32) {
        self.baseline -= points;
    }

    /// Begins a line, on the next page when this one is full.
    pub(super) fn line(&mut self, size: f32) {
        if !self.has_room(1, size) {
            self.turn();
        }
        self.baseline -= size * LEADING;
    }

    pub(super) fn has_room(&self, lines: usize, size: f32) -> bool {
        self.baseline - height(lines, size) >= BOTTOM
    }

    /// Turns the page unless there is room for all of it; what needs more than a page begins where it is.
    pub(super) fn keep(&mut self, lines: usize, size: f32) {
        if !self.has_room(lines, size) && height(lines, size) <= TOP - BOTTOM {
            self.turn();
        }
    }

    pub(super) fn turn(&mut self) {
        self.done.push(std::mem::replace(&mut self.page, Content::new()));
        self.baseline = TOP;
    }

    pub(super) fn text(&mut self, left: f32, (weight, size): Type, text: &str) {
        let (face, name) = match weight {
            Weight::Regular => (&mut self.regular, REGULAR),
            Weight::Bold => (&mut self.bold, BOLD),
        };
        let glyphs = face.encoded(text);
        show(&mut self.page, (name, size), (left, self.baseline), &glyphs);
    }

    /// Ends there.
    pub(super) fn right(&mut self, right: f32, kind: Type, text: &str) {
        let left = right - self.face(kind.0).width(text, kind.1);
        self.text(left, kind, text);
    }

    pub(super) fn rule(&mut self) {
        self.baseline -= 3.0;
        self.page.set_line_width(0.5).move_to(LEFT, self.baseline).line_to(RIGHT, self.baseline);
        self.page.stroke();
        self.baseline -= 2.0;
    }

    /// A text in lines of a width: between words where it can be. An empty text is one empty line.
    pub(super) fn wrapped(&self, (weight, size): Type, text: &str, width: f32) -> Vec<String> {
        let face = self.face(weight);
        let fits = |text: &str| face.width(text, size) <= width;
        let mut lines = vec![];
        for paragraph in text.lines() {
            let mut line = String::new();
            for word in face.drawable(paragraph).split(' ') {
                let longer =
                    if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
                if fits(&longer) {
                    line = longer;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                for letter in word.chars() {
                    line.push(letter);
                    if !fits(&line) && line.chars().count() > 1 {
                        line.pop();
                        lines.push(std::mem::replace(&mut line, letter.to_string()));
                    }
                }
            }
            lines.push(line);
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    const fn face(&self, weight: Weight) -> &Typeface {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    pub(super) fn finish(mut self, title: &str) -> Result<Vec<u8>, PaperError> {
        self.turn();
        let count = self.done.len();
        for (page, number) in self.done.iter_mut().zip(1..) {
            let says = format!("{title}, page {number} of {count}");
            let left = RIGHT - self.regular.width(&says, FOOT_SIZE);
            show(page, (REGULAR, FOOT_SIZE), (left, FOOT), &self.regular.encoded(&says));
        }
        let (mut pdf, mut ids) = (Pdf::new(), (1..).map(Ref::new));
        let mut next = || ids.next().ok_or(PaperError::TooLarge);
        let (catalog, tree, info) = (next()?, next()?, next()?);
        let fonts = [(REGULAR, self.regular), (BOLD, self.bold)];
        let mut named = vec![];
        for (name, face) in fonts {
            let id = next()?;
            named.push((name, id));
            face.write(&mut pdf, [id, next()?, next()?, next()?, next()?])?;
        }
        let mut kids = vec![];
        for content in self.done {
            let (id, stream) = (next()?, next()?);
            kids.push(id);
            let mut page = pdf.page(id);
            page.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(tree).contents(stream);
            page.resources().fonts().pairs(named.iter().map(|(name, id)| (Name(name), *id)));
            page.finish();
            let bytes = packed(&content.finish());
            pdf.stream(stream, &bytes).filter(Filter::FlateDecode);
        }
        let count = i32::try_from(count).map_err(|_| PaperError::TooLarge)?;
        pdf.pages(tree).kids(kids).count(count);
        pdf.catalog(catalog).pages(tree).lang(TextStr("en"));
        pdf.document_info(info).title(TextStr(title)).producer(TextStr("Cairn"));
        Ok(pdf.finish())
    }
}

type FontName = &'static [u8];
const REGULAR: FontName = b"R";
const BOLD: FontName = b"B";

#[allow(clippy::cast_precision_loss, reason = "lines of a page")]
fn height(lines: usize, size: f32) -> f32 {
    lines as f32 * size * LEADING
}

fn show(page: &mut Content, (name, size): (FontName, f32), (x, y): (f32, f32), glyphs: &[u8]) {
    page.begin_text().set_font(Name(name), size).next_line(x, y).show(Str(glyphs)).end_text();
}

/// Into memory, which takes everything.
pub(super) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(vec![], Compression::default());
    let written = encoder.write_all(bytes);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

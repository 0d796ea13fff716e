//! A typeface: how wide texts are, and the letters that a paper uses, as a paper carries them.
use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish as _, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;
use ttf_parser::{Face, GlyphId, RawFace, Tag, name_id};

use super::PaperError;
use super::pages::packed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

impl Weight {
    const fn face_name(self) -> &'static str {
        match self {
            Self::Regular => "LibertinusSerif-Regular",
            Self::Bold => "LibertinusSerif-Bold",
        }
    }
}

const SYSTEM: SystemInfo<'_> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

pub(super) struct Typeface {
    weight: Weight,
    data: &'static [u8],
    face: Face<'static>,
    kept: GlyphRemapper,
    /// What a kept glyph stands for, by its new number.
    letters: BTreeMap<u16, (GlyphId, char)>,
}

impl Typeface {
    pub(super) fn load(weight: Weight) -> Result<Self, PaperError> {
        let mut found = typst_assets::fonts().filter_map(|data| {
            let face = Face::parse(data, 0).ok()?;
            let mut names = face.names().into_iter();
            let name = names.find(|name| name.name_id == name_id::POST_SCRIPT_NAME)?.to_string()?;
            (name == weight.face_name()).then_some((data, face))
        });
        let (data, face) =
            found.next().ok_or_else(|| PaperError::Typeface(weight.face_name().to_owned()))?;
        Ok(Self { weight, data, face, kept: GlyphRemapper::new(), letters: BTreeMap::new() })
    }

    /// What can be drawn of a text: what cannot is written as its code.
    pub(super) fn drawable(&self, text: &str) -> String {
        let mut drawable = String::new();
        for letter in text.chars() {
            if letter.is_whitespace() || letter.is_control() {
                drawable.push(' ');
            } else if self.face.glyph_index(letter).is_some() {
                drawable.push(letter);
            } else {
                drawable += &format!("[U+{:04X}]", u32::from(letter));
            }
        }
        drawable
    }

    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let glyphs = text.chars().filter_map(|letter| self.face.glyph_index(letter));
        glyphs.map(|glyph| self.advance(glyph)).sum::<f32>() * size / 1_000.0
    }

    /// In thousandths of the size.
    fn advance(&self, glyph: GlyphId) -> f32 {
        self.scaled(self.face.glyph_hor_advance(glyph).unwrap_or_default().into())
    }

    fn scaled(&self, units: f32) -> f32 {
        units * 1_000.0 / f32::from(self.face.units_per_em())
    }

    /// A text as the numbers of its glyphs in what the paper carries.
    pub(super) fn encoded(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = vec![];
        for letter in self.drawable(text).chars() {
            if let Some(glyph) = self.face.glyph_index(letter) {
                let kept = self.kept.remap(glyph.0);
                self.letters.entry(kept).or_insert((glyph, letter));
                bytes.extend(kept.to_be_bytes());
            }
        }
        bytes
    }

    /// Writes the letters that were used. The first of the ids is the font's.
    pub(super) fn write(self, pdf: &mut Pdf, ids: [Ref; 5]) -> Result<(), PaperError> {
        let [font, cid_font, descriptor, to_unicode, file] = ids;
        let outlines = self.outlines()?;
        // Six letters in front say that it is a part.
        let name = format!("CAIRNP+{}", self.weight.face_name());
        let base = Name(name.as_bytes());
        pdf.type0_font(font)
            .base_font(base)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid_font)
            .to_unicode(to_unicode);
        let mut cid = pdf.cid_font(cid_font);
        cid.subtype(CidFontType::Type0).base_font(base).system_info(SYSTEM);
        cid.font_descriptor(descriptor).default_width(0.0);
        let mut widths = cid.widths();
        for (kept, (glyph, _)) in &self.letters {
            widths.consecutive(*kept, [self.advance(*glyph)]);
        }
        widths.finish();
        cid.finish();
        self.write_descriptor(pdf, (descriptor, file), base);
        let mut cmap = UnicodeCmap::<u16>::new(Name(b"Cairn"), SYSTEM);
        for (kept, (_, letter)) in &self.letters {
            cmap.pair(*kept, *letter);
        }
        pdf.cmap(to_unicode, &packed(cmap.finish().as_slice())).filter(Filter::FlateDecode);
        let mut stream = pdf.stream(file, &outlines);
        stream.filter(Filter::FlateDecode).pair(Name(b"Subtype"), Name(b"CIDFontType0C"));
        Ok(())
    }

    fn write_descriptor(&self, pdf: &mut Pdf, (id, file): (Ref, Ref), name: Name<'_>) {
        let face = &self.face;
        let scaled = |units: i16| self.scaled(units.into());
        let around = face.global_bounding_box();
        let (ascender, descender) = (scaled(face.ascender()), scaled(face.descender()));
        pdf.font_descriptor(id)
            .name(name)
            .flags(FontFlags::SERIF | FontFlags::SYMBOLIC)
            .bbox(Rect::new(
                scaled(around.x_min),
                scaled(around.y_min),
                scaled(around.x_max),
                scaled(around.y_max),
            ))
            .italic_angle(0.0)
            .ascent(ascender)
            .descent(descender)
            .cap_height(face.capital_height().map_or(ascender, scaled))
            .stem_v(if self.weight == Weight::Bold { 140.0 } else { 80.0 })
            .font_file3(file);
    }

    fn outlines(&self) -> Result<Vec<u8>, PaperError> {
        let wrong = |says: String| PaperError::Typeface(says);
        let part = subsetter::subset(self.data, 0, &self.kept);
        let part = part.map_err(|error| wrong(error.to_string()))?;
        let tables = RawFace::parse(&part, 0).map_err(|error| wrong(error.to_string()))?;
        let outlines = tables.table(Tag::from_bytes(b"CFF "));
        outlines.map(packed).ok_or_else(|| wrong("it has no outlines".to_owned()))
    }
}

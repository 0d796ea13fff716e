//! A document as a tree of elements by their local names. What could make it something else than it looks like is refused: a
//! document type, an entity of its own, a depth or a number of elements that no statement has.
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::ReadError;

const DEPTH_MAX: usize = 32;
const ELEMENTS_MAX: usize = 1_000_000;

/// An element, without its namespace.
#[derive(Debug, Default)]
pub struct Element {
    pub name: String,
    /// The attribute `Ccy`, where there is one.
    pub currency: Option<String>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// What is written in it, without what surrounds it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// Its children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first element at the end of a path such as `Acct/Id/IBAN`.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |element, name| element.child(name))
    }

    /// What is written at the end of a path, if anything is.
    pub fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).map(Self::text).filter(|text| !text.is_empty())
    }

    /// What it is: its children's names, for whoever expected another.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.children.iter().map(|child| child.name.as_str()).collect();
        names.join(", ")
    }
}

/// The root of a document.
pub fn root(text: &str) -> Result<Element, ReadError> {
    let mut reader = Reader::from_str(text);
    // What is open, outermost first; the first of them is the document itself.
    let mut open = vec![Element::default()];
    let mut elements = 0_usize;
    loop {
        let at = reader.buffer_position();
        let refuse = |message: &str| ReadError::Xml { at, message: message.to_owned() };
        let event = reader.read_event().map_err(|error| refuse(&error.to_string()))?;
        if matches!(event, Event::Start(_) | Event::Empty(_)) {
            elements += 1;
            if elements > ELEMENTS_MAX || open.len() > DEPTH_MAX {
                return Err(refuse("no statement has so many elements, or so deep ones"));
            }
        }
        match event {
            Event::Start(tag) => open.push(element(&tag).map_err(|message| refuse(&message))?),
            Event::Empty(tag) => {
                let element = element(&tag).map_err(|message| refuse(&message))?;
                add(&mut open, element);
            }
            Event::End(_) => {
                let closed = open.pop().ok_or_else(|| refuse("an end without a beginning"))?;
                add(&mut open, closed);
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|error| refuse(&error.to_string()))?;
                say(&mut open, &text);
            }
            Event::CData(text) => {
                let text = text.decode().map_err(|error| refuse(&error.to_string()))?;
                say(&mut open, &text);
            }
            Event::GeneralRef(name) => {
                let character = character(&name).ok_or_else(|| {
                    refuse("an entity of its own: only &amp; &lt; &gt; &quot; &apos; are read")
                })?;
                say(&mut open, character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(refuse("a document type: no statement needs one")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => {
                return document(open).ok_or_else(|| {
                    refuse("there is not one element, whole, and nothing after it")
                });
            }
        }
    }
}

/// The only element of what was read, when all of them are closed.
fn document(mut open: Vec<Element>) -> Option<Element> {
    let mut document = open.pop().filter(|_| open.is_empty())?;
    let root = document.children.pop()?;
    document.children.is_empty().then_some(root)
}

fn add(open: &mut [Element], element: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(element);
    }
}

fn say(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn element(tag: &BytesStart<'_>) -> Result<Element, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let currency = tag.try_get_attribute("Ccy").map_err(|error| error.to_string())?;
    let currency = currency.map(|attribute| text(&attribute.value));
    Ok(Element { name: text(tag.local_name().as_ref()), currency, ..Element::default() })
}

fn character(name: &BytesRef<'_>) -> Option<char> {
    if name.is_char_ref() {
        return name.resolve_char_ref().ok().flatten();
    }
    match &**name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => None,
    }
}

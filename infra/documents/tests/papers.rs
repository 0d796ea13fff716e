//! Papers, read back by a reader that is not ours.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_documents::{Paper, Party, Table, TableColumn};

/// Each page's text, by a reader that goes by what the file itself says of its letters.
fn pages(pdf: &[u8]) -> Vec<String> {
    let file = lopdf::Document::load_mem(pdf).unwrap();
    file.get_pages().keys().map(|number| file.extract_text(&[*number]).unwrap()).collect()
}

/// Without how it was laid out.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn column(title: &str, share: u16, is_number: bool) -> TableColumn {
    TableColumn { title: title.to_owned(), share, is_number }
}

fn paper(customer: &str, lines: usize) -> Paper {
    let party = |role: &str, lines: &[&str]| Party {
        role: role.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let rows = (1..=lines).map(|n| vec![format!("resource-{n}-"), format!("{n}.00")]);
    Paper {
        title: "Invoice CN-2026-000001".to_owned(),
        parties: vec![
            party("Issued by", &["Cairn Compute", "Main Street 1", "8000 Zürich"]),
            party("To", &[customer]),
        ],
        facts: vec![("Month".to_owned(), "2026-10".to_owned())],
        tables: vec![Table {
            title: "Usage".to_owned(),
            columns: vec![column("Resource", 3, false), column("Net amount", 1, true)],
            rows: rows.collect(),
        }],
        totals: vec![
            ("Net".to_owned(), "100.00 CHF".to_owned()),
            ("Total".to_owned(), "107.70 CHF".to_owned()),
        ],
        notes: vec!["Paid in advance.".to_owned()],
    }
}

#[test]
fn a_name_has_the_letters_of_its_people() {
    for name in [
        "Grüße & Søn, Łódź, Çağrı Ünlü, Đặng Thị",
        "Αναλυτικές Μηχανές Α.Ε., ΐ ώ",
        "Аналитические машины, Ґанок, Љубав",
    ] {
        let text = pages(&paper(name, 1).pdf().unwrap()).concat();
        assert!(words(&text).contains(name), "{text}");
    }
}

#[test]
fn a_letter_that_the_typeface_has_not_is_told_by_its_code() {
    let text = pages(&paper("中 Ltd \u{7}\u{1F980}", 1).pdf().unwrap()).concat();
    assert!(words(&text).contains("[U+4E2D] Ltd [U+1F980]"), "{text}");
}

#[test]
fn everything_stands_on_it() {
    let text = words(&pages(&paper("Analytical Engines", 2).pdf().unwrap()).concat());
    for said in [
        "Invoice CN-2026-000001",
        "Issued by",
        "Cairn Compute",
        "8000 Zürich",
        "Analytical Engines",
        "Month",
        "2026-10",
        "Usage",
        "Net amount",
        "resource-2-",
        "2.00",
        "Total",
        "107.70 CHF",
        "Paid in advance.",
        "page 1 of 1",
    ] {
        assert!(text.contains(said), "'{said}' is missing: {text}");
    }
}

#[test]
fn many_lines_take_many_pages_and_each_has_the_header_and_its_number() {
    let pages = pages(&paper("Analytical Engines", 300).pdf().unwrap());
    let count = pages.len();
    assert!((4..=8).contains(&count), "{count} pages");
    for (page, number) in pages.iter().zip(1..) {
        assert!(words(page).contains(&format!("page {number} of {count}")), "{page}");
        let goes_on = page.contains("resource-");
        assert_eq!(page.contains("Net amount"), goes_on, "{page}");
    }
    let all = pages.concat();
    for n in 1..=300 {
        assert_eq!(all.matches(&format!("resource-{n}-")).count(), 1, "line {n}");
    }
    assert!(pages[count - 1].contains("107.70"), "{}", pages[count - 1]);
}

#[test]
fn a_text_that_is_too_long_goes_on_below_and_on_the_next_page() {
    let long = "x".repeat(200);
    let mut paper = paper(&long, 1);
    paper.tables[0].rows[0][0] = "word ".repeat(4_000);
    let pages = pages(&paper.pdf().unwrap());
    let text = pages.concat();
    assert_eq!(text.matches("word").count(), 4_000);
    // And in the name of the month's usage there is none.
    assert_eq!(text.matches('x').count(), 200);
    assert!(pages.len() > 2 && pages[1].contains("Net amount"));
}

#[test]
fn the_same_paper_is_the_same_bytes_and_carries_only_its_letters() {
    let pdf = || paper("Analytical Engines", 60).pdf().unwrap();
    let first = pdf();
    assert_eq!(first, pdf());
    assert!(first.len() < 60_000, "{} bytes", first.len());
    assert!(Paper::default().pdf().is_ok());
}

//! The book on disk: one JSON line per object added or changed, read back from the beginning.
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::book::{
    Book, Charge, Customer, Dispute, Event, PaymentIntent, PaymentMethod, Payout, Refund,
    SetupIntent, Transaction,
};
use crate::http::{Answered, Answers};

/// What a line holds: an object as it is from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    PaymentIntent(PaymentIntent),
    Customer(Customer),
    PaymentMethod(PaymentMethod),
    SetupIntent(SetupIntent),
    Charge(Charge),
    Refund(Refund),
    Dispute(Dispute),
    Payout(Payout),
    Transaction(Transaction),
    Event(Event),
    Answer(Answered),
}

/// The file, open at its end.
pub(crate) struct Journal(File);

impl Journal {
    /// Reads what is there into an empty book. A last line that was cut off is dropped: its call was never answered.
    pub fn open(path: &Path, book: &mut Book, answers: &mut Answers) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut reader = BufReader::new(&mut file);
        let (mut text, mut whole) = (String::new(), 0);
        loop {
            text.clear();
            let length = reader.read_line(&mut text)?;
            if length == 0 || !text.ends_with('\n') {
                break;
            }
            let line = serde_json::from_str(&text).map_err(io::Error::from)?;
            put(line, book, answers);
            whole += u64::try_from(length).unwrap_or_default();
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        lines(book, answers);
        Ok(Self(file))
    }

    /// Adds lines, all in one write.
    pub fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.0.write_all(&text)
    }
}

/// What was added or changed since the last time.
pub(crate) fn lines(book: &mut Book, answers: &mut Answers) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(book.payment_intents.take_changed().into_iter().cloned().map(Line::PaymentIntent));
    lines.extend(book.customers.take_changed().into_iter().cloned().map(Line::Customer));
    lines.extend(book.payment_methods.take_changed().into_iter().cloned().map(Line::PaymentMethod));
    lines.extend(book.setup_intents.take_changed().into_iter().cloned().map(Line::SetupIntent));
    lines.extend(book.charges.take_changed().into_iter().cloned().map(Line::Charge));
    lines.extend(book.refunds.take_changed().into_iter().cloned().map(Line::Refund));
    lines.extend(book.disputes.take_changed().into_iter().cloned().map(Line::Dispute));
    lines.extend(book.payouts.take_changed().into_iter().cloned().map(Line::Payout));
    lines.extend(book.transactions.take_changed().into_iter().cloned().map(Line::Transaction));
    lines.extend(book.events.take_changed().into_iter().cloned().map(Line::Event));
    lines.extend(answers.take_fresh().into_iter().cloned().map(Line::Answer));
    lines
}

fn put(line: Line, book: &mut Book, answers: &mut Answers) {
    match line {
        Line::PaymentIntent(intent) => book.payment_intents.put(intent),
        Line::Customer(customer) => book.customers.put(customer),
        Line::PaymentMethod(method) => book.payment_methods.put(method),
        Line::SetupIntent(intent) => book.setup_intents.put(intent),
        Line::Charge(charge) => book.charges.put(charge),
        Line::Refund(refund) => book.refunds.put(refund),
        Line::Dispute(dispute) => book.disputes.put(dispute),
        Line::Payout(payout) => book.payouts.put(payout),
        Line::Transaction(line) => book.transactions.put(line),
        Line::Event(event) => book.events.put(event),
        Line::Answer(answered) => answers.put(answered),
    }
}

//! Draws who said what to whom, as sngrep does: a column for each party, an arrow for each message.
//! Pure; 100 columns, and no colour unless asked for.

use std::time::Duration;

/// Columns of text there are.
pub const WIDTH: usize = 100;
/// Where the first lifeline stands, and how far apart they are.
const FIRST: usize = 14;
const APART: usize = 20;
/// Longest text of one step, in lines.
const MAX_LINES: usize = 6;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The contact far away.
    Peer,
    /// The MSN server.
    Server,
    /// `msn-handoff`.
    Us,
    /// The user's MSN client.
    Client,
    /// The program that takes the call.
    Program,
}

impl Party {
    const ALL: [Self; 5] = [
        Self::Peer,
        Self::Server,
        Self::Us,
        Self::Client,
        Self::Program,
    ];

    fn column(self) -> usize {
        FIRST + APART * self as usize
    }
}

/// What sort of step it is; only the colour depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sort {
    /// MSNP.
    Msn,
    /// SIP.
    Sip,
    /// RTP.
    Media,
    /// Something that is no message on a network.
    Note,
}

impl Sort {
    fn colour(self) -> &'static str {
        match self {
            Self::Msn => "\x1b[36m",
            Self::Sip => "\x1b[32m",
            Self::Media => "\x1b[35m",
            Self::Note => "\x1b[33m",
        }
    }
}

/// One message, or a remark beside a party when `from` and `to` are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Time since the beginning.
    pub at: Duration,
    /// Who sent it.
    pub from: Party,
    /// Who got it.
    pub to: Party,
    /// What it was; control characters are drawn as `?`.
    pub text: String,
    /// What sort of step it is.
    pub sort: Sort,
}

/// The picture.
#[derive(Debug, Clone)]
pub struct Ladder {
    labels: [String; 5],
    colour: bool,
}

impl Ladder {
    /// A ladder with these names over its columns, from [`Party::Peer`] to [`Party::Program`].
    #[must_use]
    pub fn new(labels: [&str; 5], colour: bool) -> Self {
        Self {
            labels: labels.map(|label| clean(label).chars().take(APART - 2).collect()),
            colour,
        }
    }

    /// The names and the tops of the lifelines. Ends with a line feed, as all of these do.
    #[must_use]
    pub fn head(&self) -> String {
        let mut row = Row::empty();
        for (party, label) in Party::ALL.iter().zip(&self.labels) {
            let width = label.chars().count();
            row.put(party.column().saturating_sub(width / 2), label);
        }
        let mut out = row.text(None);
        out += &Row::lifelines().text(None);
        out
    }

    /// One step, on one or more lines.
    #[must_use]
    pub fn step(&self, step: &Step) -> String {
        let text = clean(&step.text);
        let colour = self.colour.then(|| step.sort.colour());
        let mut rows = if step.from == step.to {
            remark(step.from, &text)
        } else {
            arrow(step.from, step.to, &text)
        };
        if let Some(first) = rows.first_mut() {
            first.put(0, &format!("{:>8.3}", step.at.as_secs_f64()));
        }
        rows.iter().map(|row| row.text(colour)).collect()
    }

    /// The whole picture.
    #[must_use]
    pub fn draw(&self, steps: &[Step]) -> String {
        let mut out = self.head();
        for step in steps {
            out += &self.step(step);
        }
        out
    }
}

/// An arrow with its text inside, or above it when it is too long.
fn arrow(from: Party, to: Party, text: &str) -> Vec<Row> {
    let (left, right) = (from.min(to).column(), from.max(to).column());
    // Within the lifelines, with a space on both sides, a dash behind and the head before.
    let room = right - left - 1;
    let inside = room - 5;
    let fits = text.chars().count() <= inside;
    let mut rows = Vec::new();
    if !fits {
        for line in wrap(text, room - 2) {
            let mut row = Row::lifelines();
            // Lifelines within the text would cut it.
            row.clear(left + 1, right);
            row.put_text(left + 1 + (room - line.chars().count()) / 2, &line);
            rows.push(row);
        }
    }
    let mut row = Row::lifelines();
    for column in left + 1..right {
        let crossing = (column - FIRST).is_multiple_of(APART);
        row.set(column, if crossing { '┼' } else { '─' });
    }
    if from < to {
        row.set(right - 1, '▶');
    } else {
        row.set(left + 1, '◀');
    }
    if fits {
        let start = left + 1 + (room - text.chars().count()) / 2;
        row.put(start - 1, " ");
        row.put_text(start, text);
        row.put(start + text.chars().count(), " ");
    }
    rows.push(row);
    rows
}

/// A text beside a lifeline: right of it in the left half of the picture, left of it in the right.
fn remark(party: Party, text: &str) -> Vec<Row> {
    let column = party.column();
    let room = 2 * APART - 4;
    wrap(text, room)
        .into_iter()
        .map(|line| {
            let mut row = Row::lifelines();
            let width = line.chars().count();
            if party <= Party::Us {
                row.set(column, '├');
                row.clear(column + 1, column + 3 + width);
                row.put_text(column + 2, &line);
            } else {
                row.set(column, '┤');
                row.clear(column - width - 2, column);
                row.put_text(column - width - 1, &line);
            }
            row
        })
        .collect()
}

/// Breaks a text at spaces, and where there are none anywhere; what is too long ends in `…`.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for letter in word.chars() {
            if used == width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(letter);
            used += 1;
        }
    }
    lines.push(line);
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        if let Some(last) = lines.last_mut() {
            *last = last
                .chars()
                .take(width.saturating_sub(1))
                .chain(['…'])
                .collect();
        }
    }
    lines
}

/// Without what would move the cursor.
fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

/// One line of the picture.
struct Row {
    cells: Vec<char>,
    /// First and past-the-last cell of the text that gets the colour.
    text: Option<(usize, usize)>,
}

impl Row {
    fn empty() -> Self {
        Self {
            cells: vec![' '; WIDTH],
            text: None,
        }
    }

    fn lifelines() -> Self {
        let mut row = Self::empty();
        for party in Party::ALL {
            row.set(party.column(), '│');
        }
        row
    }

    fn set(&mut self, column: usize, letter: char) {
        if let Some(cell) = self.cells.get_mut(column) {
            *cell = letter;
        }
    }

    fn clear(&mut self, from: usize, to: usize) {
        for column in from..to {
            self.set(column, ' ');
        }
    }

    fn put(&mut self, column: usize, text: &str) {
        for (offset, letter) in text.chars().enumerate() {
            self.set(column + offset, letter);
        }
    }

    fn put_text(&mut self, column: usize, text: &str) {
        self.put(column, text);
        self.text = Some((column, (column + text.chars().count()).min(WIDTH)));
    }

    fn text(&self, colour: Option<&str>) -> String {
        let mut out = String::with_capacity(WIDTH * 3);
        let used = self
            .cells
            .iter()
            .rposition(|cell| *cell != ' ')
            .map_or(0, |last| last + 1);
        for (column, cell) in self.cells.iter().take(used).enumerate() {
            if let (Some(colour), Some((from, _))) = (colour, self.text)
                && from == column
            {
                out += colour;
            }
            out.push(*cell);
            if let (Some(_), Some((_, to))) = (colour, self.text)
                && to == column + 1
            {
                out += "\x1b[0m";
            }
        }
        out.push('\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(at: u64, from: Party, to: Party, text: &str, sort: Sort) -> Step {
        Step {
            at: Duration::from_millis(at),
            from,
            to,
            text: text.to_owned(),
            sort,
        }
    }

    fn story() -> Vec<Step> {
        use Party::{Client, Peer, Program, Server, Us};
        vec![
            step(3, Peer, Server, "INVITE voice", Sort::Msn),
            step(4, Server, Us, "INVITE voice", Sort::Msn),
            step(
                5,
                Us,
                Client,
                "Bob invites you to a voice conversation. /accept or /decline",
                Sort::Msn,
            ),
            step(900, Client, Client, "the user types /accept", Sort::Note),
            step(901, Client, Us, "/accept", Sort::Msn),
            step(910, Us, Us, "listens on 127.0.0.1:13455", Sort::Note),
            step(920, Us, Server, "ACCEPT", Sort::Msn),
            step(1200, Peer, Us, "SIP INVITE", Sort::Sip),
            step(1201, Us, Program, "SIP INVITE", Sort::Sip),
            step(61_300, Program, Peer, "RTP", Sort::Media),
        ]
    }

    const LABELS: [&str; 5] = ["Bob", "server", "msn-handoff", "client", "baresip"];

    #[test]
    fn a_story_is_drawn_as_a_ladder() {
        insta::assert_snapshot!(Ladder::new(LABELS, false).draw(&story()));
    }

    #[test]
    fn colour_changes_nothing_but_the_colour() {
        let plain = Ladder::new(LABELS, false).draw(&story());
        let mut coloured = Ladder::new(LABELS, true).draw(&story());
        assert_ne!(plain, coloured);
        for sort in [Sort::Msn, Sort::Sip, Sort::Media, Sort::Note] {
            coloured = coloured.replace(sort.colour(), "");
        }
        assert_eq!(coloured.replace("\x1b[0m", ""), plain);
    }

    proptest! {
        #[test]
        fn no_text_leaves_the_picture(
            text in "\\PC{0,400}|[\\x00-\\x7f]{0,400}",
            from in 0_usize..5,
            to in 0_usize..5,
        ) {
            let step = step(1, Party::ALL[from], Party::ALL[to], &text, Sort::Msn);
            let drawn = Ladder::new(LABELS, false).step(&step);
            prop_assert!(drawn.ends_with('\n'));
            for line in drawn.lines() {
                prop_assert!(line.chars().count() <= WIDTH);
                prop_assert!(!line.chars().any(char::is_control));
                // The ends of the arrow stand in every line.
                for party in [from, to] {
                    let cell = line.chars().nth(Party::ALL[party].column());
                    prop_assert!(matches!(cell, Some('│' | '├' | '┤')), "{line}");
                }
            }
        }
    }
}

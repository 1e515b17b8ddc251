//! The live table: redrawn in place on a terminal, line by line elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

/// One moment of the demo.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row {
    pub(crate) elapsed: Duration,
    /// Finished events by the ledgers, just before the scrape.
    pub(crate) counted: u64,
    /// The merged counter; none if the scrape failed.
    pub(crate) merged: Option<u64>,
    pub(crate) live: u64,
    pub(crate) dead: u64,
    pub(crate) folded: u64,
    pub(crate) kills: u64,
}

/// Prints rows.
pub(crate) struct Table {
    is_terminal: bool,
    lines_drawn: usize,
    last_line: Option<Duration>,
}

/// Time between two lines where they stay.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

impl Table {
    /// A table on stdout.
    pub(crate) fn new() -> Table {
        Table { is_terminal: io::stdout().is_terminal(), lines_drawn: 0, last_line: None }
    }

    /// Shows a row. A reader that has gone away does not end the demo.
    pub(crate) fn show(&mut self, row: Row) {
        let mut out = io::stdout().lock();
        let _ = if self.is_terminal { self.redraw(&mut out, row) } else { self.append(&mut out, row) };
    }

    fn redraw(&mut self, out: &mut impl Write, row: Row) -> io::Result<()> {
        if self.lines_drawn > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.lines_drawn)?;
        }
        let lines = fields(row);
        for (name, value) in &lines {
            writeln!(out, "  {name:<28}{value:>16}")?;
        }
        self.lines_drawn = lines.len();
        out.flush()
    }

    fn append(&mut self, out: &mut impl Write, row: Row) -> io::Result<()> {
        if self.last_line.is_some_and(|last| row.elapsed < last + LINE_INTERVAL) {
            return Ok(());
        }
        self.last_line = Some(row.elapsed);
        let text: Vec<_> = fields(row).iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(out, "{}", text.join(" | "))?;
        out.flush()
    }
}

fn fields(row: Row) -> [(&'static str, String); 7] {
    let merged = row.merged.map_or_else(|| "no answer".into(), grouped);
    let lag = row.merged.map_or_else(|| "?".into(), |merged| grouped(row.counted.saturating_sub(merged)));
    [
        ("seconds", format!("{:.1}", row.elapsed.as_secs_f64())),
        ("counted by the workers", grouped(row.counted)),
        ("merged by the scrape", merged),
        ("lag in events", lag),
        ("workers live / dead", format!("{} / {}", row.live, row.dead)),
        ("folded", grouped(row.folded)),
        ("killed", grouped(row.kills)),
    ]
}

/// A number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn on_a_terminal_the_table_is_redrawn_in_place() {
        let mut table = Table { is_terminal: true, lines_drawn: 0, last_line: None };
        let mut out = Vec::new();
        table.redraw(&mut out, Row::default()).expect("a Vec takes all");
        assert!(!String::from_utf8_lossy(&out).contains('\x1b'));
        table.redraw(&mut out, Row::default()).expect("a Vec takes all");
        assert_eq!(String::from_utf8_lossy(&out).matches("\x1b[7A\x1b[J").count(), 1);
    }

    #[test]
    fn elsewhere_there_is_one_line_per_second() {
        let mut table = Table { is_terminal: false, lines_drawn: 0, last_line: None };
        let mut out = Vec::new();
        for tenths in 0..21 {
            let row = Row { elapsed: Duration::from_millis(tenths * 100), ..Row::default() };
            table.append(&mut out, row).expect("a Vec takes all");
        }
        assert_eq!(String::from_utf8_lossy(&out).lines().count(), 3);
    }
}

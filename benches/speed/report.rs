//! What was measured, as a table: the ratio first, then the figures it was made of.
//!
//! Never a figure without its yardstick in the same table.

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A table whose columns are as wide as they must be.
#[derive(Default)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(title: &str, columns: &[&str]) -> Self {
        println!("\n{title}");
        Self(vec![columns.iter().map(|column| (*column).to_owned()).collect()])
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    pub(crate) fn print(&self) {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |at: usize| self.0.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        for (at, row) in self.0.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("| {} |", cells.join(" | "));
            if at == 0 {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("| {} |", rules.join(" | "));
            }
        }
    }
}

/// A ratio, and whether it stays below the ceiling; not judged where it was not built for speed.
pub(crate) fn against_ceiling(ratio: f64, ceiling: f64) -> [String; 2] {
    let verdict = match ratio <= ceiling {
        _ if cfg!(debug_assertions) => "not judged",
        true => "kept",
        false => "NOT kept",
    };
    [format!("{ratio:.2}"), format!("{ceiling} {verdict}")]
}

/// A ratio, and whether it reaches the goal; not judged where it was not built for speed.
pub(crate) fn against(ratio: f64, goal: Option<f64>) -> [String; 2] {
    let verdict = |goal| match ratio >= goal {
        _ if cfg!(debug_assertions) => "not judged",
        true => "reached",
        false => "NOT reached",
    };
    let goal = goal.map_or_else(String::new, |goal| format!("{goal} {}", verdict(goal)));
    [format!("{ratio:.2}"), goal]
}

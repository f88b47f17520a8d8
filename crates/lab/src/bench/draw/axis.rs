//! Axes: where a value is, and at which values there are labels.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// An axis. Its positions are the values, or their decimal logarithms.
#[derive(Clone)]
pub(super) struct Axis {
    pub title: String,
    scale: Scale,
    pub range: Range<f64>,
    /// Positions of the labels.
    pub ticks: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// The least distance of two labels, as a share of a horizontal axis: a label of seven digits fits in.
const LABEL_SHARE: f64 = 0.09;
/// About how many labels a vertical axis has.
const LABELS: f64 = 6.0;

impl Axis {
    /// Logarithmic, with a label at each of these values that has room for it.
    pub fn logarithmic(title: &str, values: &[usize]) -> Axis {
        let mut positions: Vec<f64> = values.iter().map(|value| (*value.max(&1) as f64).log10()).collect();
        positions.sort_unstable_by(f64::total_cmp);
        let (first, last) = (positions.first().copied().unwrap_or(0.0), positions.last().copied().unwrap_or(0.0));
        let margin = ((last - first) * 0.06).max(0.05);
        let range = first - margin..last + margin;
        let apart = (range.end - range.start) * LABEL_SHARE;
        let mut ticks: Vec<f64> = Vec::new();
        for position in positions {
            if ticks.last().is_none_or(|last| position - last >= apart) {
                ticks.push(position);
            }
        }
        Axis { title: title.to_owned(), scale: Scale::Logarithmic, range, ticks }
    }

    /// From zero to a round number over the largest value.
    pub fn from_zero(title: &str, values: &[f64]) -> Axis {
        let largest = values.iter().copied().fold(1.0, f64::max);
        let step = round_step(largest / LABELS);
        let steps = (largest * 1.02 / step).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|step_number| f64::from(step_number) * step).collect();
        Axis { title: title.to_owned(), scale: Scale::Linear, range: 0.0..steps * step, ticks }
    }

    /// Logarithmic, from a round number below the smallest value to one above the largest, with labels at 1, 2 and 5.
    pub fn decades(title: &str, values: &[f64]) -> Axis {
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let (least, most) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        let (least, most) = if most > 0.0 { (least, most) } else { (1.0, 10.0) };
        let first_decade = least.log10().floor() as i32;
        let last_decade = most.log10().ceil() as i32;
        let round: Vec<f64> = (first_decade..=last_decade)
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)))
            .collect();
        let start = round.iter().copied().filter(|value| *value <= least).fold(round[0], f64::max);
        let end = round.iter().copied().filter(|value| *value > most).fold(10_f64.powi(last_decade + 1), f64::min);
        let range = start.log10()..end.log10();
        let many = range.end - range.start > 3.0;
        // With many decades their powers of ten alone have room.
        let shown = |value: &f64| (start..=end).contains(value) && (!many || value.log10().fract() == 0.0);
        let ticks = round.into_iter().filter(shown).map(f64::log10).collect();
        Axis { title: title.to_owned(), scale: Scale::Logarithmic, range, ticks }
    }

    /// Where a value is.
    pub fn position(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).log10(),
        }
    }

    /// The label at a position.
    pub fn label(&self, position: f64) -> String {
        let value = match self.scale {
            Scale::Linear => position,
            Scale::Logarithmic => 10_f64.powf(position),
        };
        if value >= 0.999 || value == 0.0 {
            return grouped(value.round() as usize);
        }
        let digits = (-value.log10()).ceil().max(1.0) as usize;
        format!("{value:.digits$}")
    }
}

/// Values of the coordinate are positions.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, position: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (position - self.range.start) / (self.range.end - self.range.start);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // There are no lines between those of the labels.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, position: &f64) -> String {
        self.label(*position)
    }
}

/// 1, 2 or 5 times a power of ten, not under a value.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor()).max(1.0);
    [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// A number with a comma before each group of three digits.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn the_measured_counts_are_the_labels_of_their_axis() {
        assert_eq!(labels(&Axis::logarithmic("clients", &[1, 16, 64, 256])), ["1", "16", "64", "256"]);
        assert_eq!(labels(&Axis::logarithmic("records", &[1_000_000, 16_000])), ["16,000", "1,000,000"]);
    }

    /// Two labels side by side would be one number.
    #[test]
    fn a_label_without_room_is_left_out() {
        assert_eq!(labels(&Axis::logarithmic("clients", &[1, 60, 64, 256])), ["1", "60", "256"]);
        assert_eq!(labels(&Axis::logarithmic("clients", &[8])), ["8"]);
    }

    #[test]
    fn a_linear_axis_ends_over_its_largest_value_at_a_round_number() {
        assert_eq!(labels(&Axis::from_zero("", &[9_485.0])), ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]);
        assert_eq!(labels(&Axis::from_zero("", &[0.0])), ["0", "1", "2"]);
        assert!(Axis::from_zero("", &[400.0]).range.end > 400.0);
    }

    #[test]
    fn a_logarithmic_axis_holds_all_values_between_round_numbers() {
        assert_eq!(labels(&Axis::decades("", &[1.3, 45.0])), ["1", "2", "5", "10", "20", "50"]);
        assert_eq!(labels(&Axis::decades("", &[0.3, 0.9])), ["0.2", "0.5", "1"]);
        assert_eq!(labels(&Axis::decades("", &[0.3, 2_000.0])), ["1", "10", "100", "1,000"]);
        assert_eq!(labels(&Axis::decades("", &[])), ["1", "2", "5", "10", "20"]);
    }
}

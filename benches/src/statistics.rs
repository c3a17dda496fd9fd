//! Summarises many figures in a few.

/// The least, median and greatest of several values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Returns the spread of the values; `None` if there are no values.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            *values.get(middle)?
        } else {
            (values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0
        };
        Some(Self {
            least: *values.first()?,
            median,
            most: *values.last()?,
        })
    }
}

/// Returns the smallest value that at least `hundredths` percent of the values do not exceed; `None` if there are no
/// values.
pub(crate) fn percentile(values: &[f64], hundredths: usize) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (values.len() * hundredths).div_ceil(100);
    values.get(place.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=150).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 99), Some(149.0));
        assert_eq!(percentile(&values[..100], 99), Some(149.0));
        assert_eq!(percentile(&values, 100), Some(150.0));
        assert_eq!(percentile(&[], 99), None);
    }

    #[test]
    fn the_median_is_a_value_or_the_mean_of_two() {
        let median = |values: &[f64]| Spread::of(values.iter().copied()).map(|spread| spread.median);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}

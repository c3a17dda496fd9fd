//! Draws the figures: lines for what a key costs in backups of different sizes, and bars for time and memory in each
//! scenario, with the spread as a line across each bar.

use std::collections::BTreeMap;

use plotters::prelude::*;

use crate::{
    Failure,
    contestant::Contestant,
    scenario::{Build, Measured, Row},
    sizes,
};

const WIDTH: u32 = 900;
/// Height of the lines over sizes.
const SIZES: u32 = 420;

pub(crate) fn svg(results: &[Measured]) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let by_size = sizes::by_size(results);
        let heights: Vec<u32> = results.iter().map(|measured| height(measured.rows.len())).collect();
        let all = heights.iter().sum::<u32>() + if by_size.is_empty() { 0 } else { SIZES };
        let mut area = SVGBackend::with_string(&mut svg, (WIDTH, all.max(1))).into_drawing_area();
        area.fill(&WHITE)?;
        if !by_size.is_empty() {
            let (top, rest) = area.split_vertically(SIZES);
            lines(&top, &by_size)?;
            area = rest;
        }
        for (measured, height) in results.iter().zip(heights) {
            let (panel, rest) = area.split_vertically(height);
            area = rest;
            let (left, right) = panel.split_horizontally(WIDTH * 5 / 8);
            bars(
                &left,
                &format!("{}: seconds", measured.scenario.name()),
                measured,
                |row| (row.time.least, row.time.median, row.time.most),
            )?;
            bars(&right, "growth of memory, MiB", measured, |row| {
                (row.growth.least, row.growth.median, row.growth.most)
            })?;
        }
        area.present()?;
    }
    Ok(svg)
}

/// Returns the height of a panel with so many bars.
fn height(bars: usize) -> u32 {
    90 + 22 * bars as u32
}

/// Draws what a key costs over the size of the backup, both on a log scale.
fn lines(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    by_size: &[(Contestant, BTreeMap<u64, &Row>)],
) -> Result<(), Failure> {
    let sizes = || by_size.iter().flat_map(|(_, rows)| rows.keys().copied());
    let costs = || {
        by_size
            .iter()
            .flat_map(|(_, rows)| rows.iter().map(|(keys, row)| sizes::cost(*keys, row)))
    };
    let (least, most) = (sizes().min().unwrap_or(1), sizes().max().unwrap_or(1));
    let cheapest = costs().fold(f64::MAX, f64::min);
    let dearest = costs().fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("microseconds a key, by the number of keys", ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (least as f64 * 0.9..most as f64 * 1.1).log_scale(),
            (cheapest * 0.7..dearest * 2.5).log_scale(),
        )?;
    chart.configure_mesh().draw()?;
    for (place, (contestant, rows)) in by_size.iter().enumerate() {
        let colour = Palette99::pick(place).stroke_width(2);
        let points = rows.iter().map(|(keys, row)| (*keys as f64, sizes::cost(*keys, row)));
        chart
            .draw_series(LineSeries::new(points, colour).point_size(3))?
            .label(contestant.name())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperMiddle)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

fn bars(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    measured: &Measured,
    value: fn(&Row) -> (f64, f64, f64),
) -> Result<(), Failure> {
    let most = measured
        .rows
        .iter()
        .map(|row| value(row).2)
        .fold(0.0, f64::max)
        .max(0.1);
    let count = measured.rows.len();
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..most * 1.05, 0.0..count as f64)?;
    let name = |place: &f64| {
        let row = count.checked_sub(1 + place.floor().max(0.0) as usize);
        let is_middle = (place.fract() - 0.5).abs() < 0.01;
        let row = row.filter(|_| is_middle).and_then(|row| measured.rows.get(row));
        row.map(Row::name).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(2 * count + 1)
        .y_label_formatter(&name)
        .x_labels(6)
        .draw()?;
    for (place, row) in measured.rows.iter().rev().enumerate() {
        let (least, median, most) = value(row);
        let place = place as f64;
        let bar = Rectangle::new([(0.0, place + 0.2), (median, place + 0.8)], colour(row).filled());
        let whisker = PathElement::new(vec![(least, place + 0.5), (most, place + 0.5)], BLACK.stroke_width(2));
        chart.draw_series(std::iter::once(bar))?;
        chart.draw_series(std::iter::once(whisker))?;
    }
    Ok(())
}

fn colour(row: &Row) -> RGBColor {
    if row.build != Build::Now {
        return RGBColor(150, 200, 195);
    }
    match row.contestant {
        Contestant::PlainDownload | Contestant::Floor | Contestant::StoreFloor | Contestant::StoreFloorSealed => {
            RGBColor(170, 170, 170)
        }
        Contestant::MatrixSdk | Contestant::MatrixSdkSealed => RGBColor(214, 120, 60),
        Contestant::Fetched
        | Contestant::Opened
        | Contestant::Delivered
        | Contestant::DeliveredSealed
        | Contestant::DeliveredSilently
        | Contestant::DeliveredSilentlySealed => RGBColor(40, 130, 120),
    }
}

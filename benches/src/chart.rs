//! Draws the figures: bars for time and memory in each scenario, with the spread as a line across each bar.

use plotters::prelude::*;

use crate::{Failure, contestant::Contestant, scenario::Measured};

const WIDTH: u32 = 900;
const PANEL: u32 = 240;

pub(crate) fn svg(results: &[Measured]) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let size = (WIDTH, PANEL * results.len().max(1) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        for (panel, measured) in area.split_evenly((results.len().max(1), 1)).iter().zip(results) {
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

fn bars(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    measured: &Measured,
    value: fn(&crate::scenario::Row) -> (f64, f64, f64),
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
        row.map(|row| row.contestant.name().to_owned()).unwrap_or_default()
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
        let bar = Rectangle::new(
            [(0.0, place + 0.2), (median, place + 0.8)],
            colour(row.contestant).filled(),
        );
        let whisker = PathElement::new(vec![(least, place + 0.5), (most, place + 0.5)], BLACK.stroke_width(2));
        chart.draw_series(std::iter::once(bar))?;
        chart.draw_series(std::iter::once(whisker))?;
    }
    Ok(())
}

fn colour(contestant: Contestant) -> RGBColor {
    match contestant {
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

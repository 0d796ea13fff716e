//! Plots of measurements as SVG, for `docs/`.
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// A series: its name and its points.
pub type Series<'a> = (&'a str, Vec<(f64, f64)>);

/// Why there is no plot.
pub type PlotError = Box<dyn std::error::Error + Send + Sync>;

const SIZE: (u32, u32) = (760, 440);

/// Lines with a dot at each point, from 0 upwards; `log_x` spreads x by its logarithm, and then x must be above 0.
///
/// # Errors
/// [`PlotError`] when there is nothing to draw, or it cannot be drawn.
pub fn lines(
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[Series<'_>],
    log_x: bool,
) -> Result<String, PlotError> {
    let points = || series.iter().flat_map(|(_, points)| points);
    let low = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let high = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let top = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.08;
    if !low.is_finite() || high <= 0.0 || top <= 0.0 || (log_x && low <= 0.0) {
        return Err(format!("{title}: nothing to draw").into());
    }
    let labels = Labels { title, x: x_label, y: y_label };
    let mut svg = String::new();
    if log_x {
        let x = (low * 0.9..high * 1.1).log_scale();
        draw(&mut svg, &labels, (x, 0.0..top), series)?;
    } else {
        draw(&mut svg, &labels, (0.0..high * 1.04, 0.0..top), series)?;
    }
    Ok(svg)
}

struct Labels<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
}

fn draw<X>(
    svg: &mut String,
    labels: &Labels<'_>,
    (x, y): (X, std::ops::Range<f64>),
    series: &[Series<'_>],
) -> Result<(), PlotError>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let told = |error: DrawingAreaErrorKind<_>| -> PlotError { format!("{error}").into() };
    area.fill(&WHITE).map_err(told)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(labels.title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(84)
        .build_cartesian_2d(x, y)
        .map_err(told)?;
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc(labels.x).y_desc(labels.y).light_line_style(WHITE);
    mesh.x_label_formatter(&|x| amount(*x)).y_label_formatter(&|y| amount(*y));
    mesh.draw().map_err(told)?;
    for (index, (name, points)) in series.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
        chart.draw_series(line).map_err(told)?.label(*name).legend(move |(x, y)| {
            PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2))
        });
    }
    let legend = &mut chart.configure_series_labels();
    legend.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8));
    legend.border_style(BLACK.mix(0.3)).draw().map_err(told)?;
    area.present().map_err(told)
}

/// A number as short as a tick wants it: `1.5 M`, `256`, `0.25`.
fn amount(value: f64) -> String {
    let (value, unit) = match value.abs() {
        large if large >= 1e6 => (value / 1e6, " M"),
        large if large >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{amount, lines};

    #[test]
    fn every_series_is_drawn_and_named() {
        let series = [("ours", vec![(1.0, 2.0), (256.0, 9.0)]), ("theirs", vec![(1.0, 1.0)])];
        for log_x in [false, true] {
            let svg = lines("rate", "callers", "per second", &series, log_x).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
            for text in ["rate", "callers", "per second", "ours", "theirs"] {
                assert!(svg.contains(text), "{text} is missing");
            }
        }
    }

    #[test]
    fn nothing_is_no_plot() {
        assert!(lines("rate", "x", "y", &[], false).is_err());
        assert!(lines("rate", "x", "y", &[("ours", vec![(0.0, 1.0)])], true).is_err());
    }

    #[test]
    fn ticks_are_short() {
        let ticks: Vec<_> = [0.0, 0.25, 256.0, 20_000.0, 1_500_000.0].map(amount).into();
        assert_eq!(ticks, ["0", "0.25", "256", "20 k", "1.5 M"]);
    }
}

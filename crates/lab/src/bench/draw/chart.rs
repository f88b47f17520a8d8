//! Drawing a chart as SVG: title and legend over the plot, the note under it, so that no text lies on a line.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::theme::{self, FAINT, GRID, INK, Look, PAPER};

/// Width and height of a picture, in pixels.
pub(super) const SIZE: (u32, u32) = (800, 440);
/// Heights of title with legend, and of the note.
const HEAD: i32 = 72;
const FOOT: i32 = 30;
/// Where the legend and the texts begin.
const LEFT: i32 = 16;
const RIGHT: i32 = 24;
/// plotters divides the size of a font by this number.
const FONT_UNIT: f64 = 1.24;

pub(super) struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// One line under the plot.
    pub note: String,
}

pub(super) struct Series {
    pub name: String,
    pub look: Look,
    pub points: Vec<Point>,
}

/// A value with its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
    pub low: f64,
    pub high: f64,
}

/// The upper bounds of all points.
pub(super) fn highs(series: &[Series]) -> Vec<f64> {
    series.iter().flat_map(|series| &series.points).map(|point| point.high).collect()
}

/// The lower bounds of all points.
pub(super) fn lows(series: &[Series]) -> Vec<f64> {
    series.iter().flat_map(|series| &series.points).map(|point| point.low).collect()
}

type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;
type Plot<'c, 's> = ChartContext<'c, SVGBackend<'s>, Cartesian2d<Axis, Axis>>;

impl Chart {
    /// The picture.
    pub fn draw(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&PAPER)?;
        root.draw(&Text::new(self.title.as_str(), (LEFT, 12), font(17.0, INK)))?;
        self.draw_legend(&root)?;
        self.draw_plot(&root)?;
        let under = i32::try_from(SIZE.1)? - FOOT + 8;
        root.draw(&Text::new(self.note.as_str(), (LEFT, under), font(11.0, FAINT)))?;
        root.present()?;
        drop(root);
        Ok(theme::themed(&svg, &self.title))
    }

    fn draw_legend(&self, root: &Area<'_>) -> anyhow::Result<()> {
        let (mut left, height) = (LEFT, 48);
        for series in &self.series {
            let colour = series.look.colour();
            root.draw(&PathElement::new([(left, height), (left + 28, height)], colour.stroke_width(2)))?;
            draw_mark(root, series.look, (left + 14, height))?;
            let style = font(13.0, INK).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(series.name.as_str(), (left + 36, height), style))?;
            left += 36 + width(&series.name) + 24;
        }
        Ok(())
    }

    fn draw_plot(&self, root: &Area<'_>) -> anyhow::Result<()> {
        let area = root.margin(HEAD, FOOT, LEFT, RIGHT);
        let mut plot = ChartBuilder::on(&area)
            .x_label_area_size(46)
            .y_label_area_size(84)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        plot.configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(GRID)
            .axis_style(FAINT)
            .label_style(font(12.0, INK))
            .axis_desc_style(font(13.0, INK))
            .x_desc(self.x.title.as_str())
            .y_desc(self.y.title.as_str())
            .draw()?;
        self.series.iter().try_for_each(|series| self.draw_series(root, &mut plot, series))
    }

    fn draw_series(&self, root: &Area<'_>, plot: &mut Plot<'_, '_>, series: &Series) -> anyhow::Result<()> {
        let place = |x: f64, y: f64| (self.x.position(x), self.y.position(y));
        let colour = series.look.colour();
        let line: Vec<_> = series.points.iter().map(|point| place(point.x, point.y)).collect();
        plot.draw_series([PathElement::new(line, colour.stroke_width(2))])?;
        let spread = series.points.iter().filter(|point| point.low < point.high);
        plot.draw_series(spread.map(|point| {
            PathElement::new([place(point.x, point.low), place(point.x, point.high)], colour.stroke_width(2))
        }))?;
        let mut places = series.points.iter().map(|point| plot.backend_coord(&place(point.x, point.y)));
        places.try_for_each(|at| draw_mark(root, series.look, at))
    }
}

/// Draws the mark of a series: a circle, a square, a triangle or a diamond.
fn draw_mark(root: &Area<'_>, look: Look, (x, y): (i32, i32)) -> anyhow::Result<()> {
    let style = look.colour().filled();
    let corners: &[(i32, i32)] = match look {
        Look::Swoosh => return Ok(root.draw(&Circle::new((x, y), 5, style))?),
        Look::Etcd => &[(-5, -5), (5, -5), (5, 5), (-5, 5)],
        Look::Restate => &[(0, -6), (6, 5), (-6, 5)],
        Look::Other => &[(0, -6), (6, 0), (0, 6), (-6, 0)],
    };
    let corners: Vec<_> = corners.iter().map(|(right, down)| (x + right, y + down)).collect();
    Ok(root.draw(&Polygon::new(corners, style))?)
}

/// Pixels of a text of the legend, more rather than less: a picture knows nothing of the reader's fonts.
fn width(text: &str) -> i32 {
    text.chars().map(|letter| if letter.is_uppercase() { 11 } else { 7 }).sum()
}

/// A font of so many pixels.
fn font(pixels: f64, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", pixels * FONT_UNIT).into_font().color(&colour)
}

//! Colours, for light and dark pages: the attributes of the picture are the light ones, and its style sheet replaces them where the
//! reader prefers dark pages.

use plotters::style::RGBColor;

/// A colour on a light page and on a dark one.
struct Pair {
    light: RGBColor,
    dark: &'static str,
}

const fn pair(light: (u8, u8, u8), dark: &'static str) -> Pair {
    Pair { light: RGBColor(light.0, light.1, light.2), dark }
}

const PAPER_PAIR: Pair = pair((0xFF, 0xFF, 0xFF), "#0D1117");
const INK_PAIR: Pair = pair((0x1F, 0x23, 0x28), "#E6EDF3");
const FAINT_PAIR: Pair = pair((0x59, 0x63, 0x6E), "#9198A1");
const GRID_PAIR: Pair = pair((0xD1, 0xD9, 0xE0), "#30363D");
const LOOKS: [Pair; 4] = [
    pair((0x09, 0x69, 0xDA), "#58A6FF"),
    pair((0xBC, 0x4C, 0x00), "#F0883E"),
    pair((0x1A, 0x7F, 0x37), "#3FB950"),
    pair((0x82, 0x50, 0xDF), "#BC8CFF"),
];

pub(super) const PAPER: RGBColor = PAPER_PAIR.light;
pub(super) const INK: RGBColor = INK_PAIR.light;
/// Of notes and axes.
pub(super) const FAINT: RGBColor = FAINT_PAIR.light;
pub(super) const GRID: RGBColor = GRID_PAIR.light;

/// How a series looks. Each has a mark of its own as well, for readers who see no difference of the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Swoosh,
    Etcd,
    Restate,
    Other,
}

impl Look {
    pub fn colour(self) -> RGBColor {
        LOOKS.get(self as usize).map_or(INK, |pair| pair.light)
    }
}

/// Gives a picture its title for screen readers and its dark colours.
pub(super) fn themed(svg: &str, title: &str) -> String {
    let Some((open, rest)) = svg.split_once('>') else { return svg.to_owned() };
    let pairs = [&PAPER_PAIR, &INK_PAIR, &FAINT_PAIR, &GRID_PAIR].into_iter().chain(&LOOKS);
    let rule = |Pair { light: RGBColor(red, green, blue), dark }: &Pair| {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    let rules: String = pairs.map(rule).collect();
    format!(
        "{open} role=\"img\">\n<title>{title}</title>\n<style>@media (prefers-color-scheme:dark){{{rules}}}</style>{rest}"
    )
}

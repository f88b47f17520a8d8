// Rust from the statechart: `names.rs` and `rejections.rs` (enums and texts that every layer knows), `chart.rs` (the
// transition table and the typed inputs), `guards.rs` and `reduce.rs` (matches), which `machine` alone knows.

use std::fmt::Write as _;

use super::model::{Chart, Entry, Rejection, Transition};

/// `Ingestion_BytesOk` or `toolingSync` or `TOOLING_SYNC` as a Rust variant.
fn variant(name: &str) -> String {
    let word = |part: &str| {
        let shouting = part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let rest = if shouting { part[1..].to_lowercase() } else { part[1..].to_owned() };
        format!("{}{rest}", part[..1].to_uppercase())
    };
    name.split('_').map(word).collect()
}

/// `Ingestion_BytesOk` as a function or field name.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (n, c) in name.chars().enumerate() {
        let boundary = c.is_ascii_uppercase() && n > 0 && !out.ends_with('_');
        if boundary {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn push_enum(out: &mut String, name: &str, doc: &str, items: &[(String, String)]) {
    let _ = writeln!(out, "chart_names! {{\n    /// {doc}\n    {name} {{");
    for (text, doc) in items {
        let _ = writeln!(out, "        /// {}\n        {} = {text:?},", doc.trim().replace('\n', " "), variant(text));
    }
    let _ = writeln!(out, "    }}\n}}\n");
}

/// `names.rs`.
pub fn names(chart: &Chart) -> String {
    let mut out = String::new();
    let described = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    push_enum(
        &mut out,
        "Transition",
        "A transition of the statechart.",
        &chart.transitions.iter().map(|(k, v)| (k.clone(), v.doc.clone())).collect::<Vec<_>>(),
    );
    push_enum(
        &mut out,
        "Region",
        "A parallel region of the statechart.",
        &chart.regions.iter().map(|(k, v)| (k.clone(), v.doc.clone())).collect::<Vec<_>>(),
    );
    push_enum(
        &mut out,
        "EffectName",
        "Work outside the machine.",
        &chart.effects.iter().map(|(k, v)| (k.clone(), v.doc.clone())).collect::<Vec<_>>(),
    );
    push_enum(
        &mut out,
        "GuardName",
        "A pure condition on a transition.",
        &chart.guards.iter().map(|(k, v)| (k.clone(), v.doc.clone())).collect::<Vec<_>>(),
    );
    push_enum(&mut out, "Role", "What an identity may do.", &described(&chart.roles));
    push_enum(&mut out, "WindowClass", "A class of BACKBEAT window.", &described(&chart.window_classes));
    push_enum(
        &mut out,
        "OpClass",
        "The kind of operation that an idempotency key is for.",
        &described(&chart.op_classes),
    );
    for (region, spec) in &chart.regions {
        let items: Vec<_> = spec.states.iter().map(|s| (s.clone(), format!("{s} of {region}."))).collect();
        push_enum(
            &mut out,
            &format!("{}State", variant(region)),
            &format!("The states of the {region} region."),
            &items,
        );
    }
    push_inputs_of(&mut out, chart);
    push_summaries(&mut out, chart);
    push_effects(&mut out, chart);
    out
}

fn push_summaries(out: &mut String, chart: &Chart) {
    let _ = writeln!(
        out,
        "impl Transition {{\n    /// Template of its sentence in decision records.\n    pub const fn summary(self) -> &'static str {{\n        match self {{"
    );
    for (name, t) in &chart.transitions {
        let _ = writeln!(out, "            Transition::{} => {:?},", variant(name), t.summary);
    }
    let _ = writeln!(out, "        }}\n    }}\n}}\n");
}

fn push_effects(out: &mut String, chart: &Chart) {
    let pairs: Vec<_> = chart.effect_order.iter().map(|name| format!("{name} {},", variant(name))).collect();
    let _ = writeln!(
        out,
        "/// Calls a macro with the key and the variant of every effect, in the order of the chart.\n#[macro_export]\nmacro_rules! with_effects {{\n    ($then:ident) => {{ $then! {{ {} }} }};\n}}",
        pairs.join(" ")
    );
}

fn entry(entry: &Entry) -> String {
    let Entry { cause, example, remedy, rule, retry } = entry;
    format!(
        "Entry {{ cause: {cause:?}, example: {example:?}, remedy: {remedy:?}, rule: {rule:?}, retry: Retry::{retry:?} }}"
    )
}

/// `rejections.rs`: the codes, their entries and those of the guards, and the groups of their page.
pub fn rejections(chart: &Chart) -> String {
    let mut out = String::from("codes! {\n");
    for rejection in chart.rejections.iter().flat_map(|group| &group.codes) {
        let Rejection { code, title, guard, .. } = rejection;
        let guard = option("GuardName", guard.as_ref());
        let _ = writeln!(out, "    {} = {code:?}, {title:?}, {guard}, {};", variant(code), entry(&rejection.entry()));
    }
    let _ = writeln!(
        out,
        "}}\n\nimpl GuardName {{\n    /// The entry of its code; absent for guards whose failures have codes of their own.\n    pub const fn entry(self) -> Option<&'static Entry> {{\n        match self {{"
    );
    for (name, guard) in &chart.guards {
        let own = guard.entry().map_or("None".to_owned(), |own| format!("Some(&{})", entry(&own)));
        let _ = writeln!(out, "            GuardName::{} => {own},", variant(name));
    }
    let _ = writeln!(
        out,
        "        }}\n    }}\n}}\n\n/// The groups of codes, in the order of their page.\npub const GROUPS: &[Group] = &["
    );
    for group in &chart.rejections {
        let guards = chart.guard_order.iter().filter(|_| group.guards);
        let guards = guards.filter(|name| chart.guards.get(*name).is_some_and(|guard| guard.entry().is_some()));
        let guards = guards.map(|name| format!("Code::Guard(GuardName::{})", variant(name)));
        let codes = group.codes.iter().map(|rejection| format!("Code::{}", variant(&rejection.code)));
        let codes: Vec<_> = codes.chain(guards).collect();
        let _ = writeln!(
            out,
            "    Group {{ title: {:?}, intro: {:?}, codes: &[{}] }},",
            group.group,
            group.doc,
            codes.join(", ")
        );
    }
    let _ = writeln!(out, "];");
    out
}

/// `guards.rs`: the registry of guards; each is a function of its name, which the including module has in scope.
pub fn guards(chart: &Chart) -> String {
    let mut out =
        String::from("/// The function of a guard.\npub fn guard(name: GuardName) -> Guard {\n    match name {\n");
    for name in chart.guards.keys() {
        let _ = writeln!(out, "        GuardName::{} => {name},", variant(name));
    }
    out.push_str("    }\n}\n");
    out
}

/// `reduce.rs`: every transition's reducer, named after it, in the module of its region.
pub fn reducers(chart: &Chart) -> String {
    let mut out = String::from("fn apply(next: &mut State, inputs: &Inputs, step: &Step<'_>) {\n    match inputs {\n");
    for (name, t) in &chart.transitions {
        let function = snake(name.split_once('_').map_or(name.as_str(), |(_, rest)| rest));
        let _ =
            writeln!(out, "        Inputs::{}(inputs) => {}::{function}(next, inputs, step),", variant(name), t.region);
    }
    out.push_str("    }\n}\n");
    out
}

/// The members of inputs and the bounds, for the forms of documents.
fn push_inputs_of(out: &mut String, chart: &Chart) {
    let _ = writeln!(
        out,
        "/// Members of a transition's inputs and their types; `?` marks an optional one.\npub const fn inputs_of(transition: Transition) -> &'static [(&'static str, &'static str)] {{\n    match transition {{"
    );
    for (name, t) in &chart.transitions {
        let members: Vec<_> = t.inputs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let _ = writeln!(out, "        Transition::{} => &{members:?},", variant(name));
    }
    let bounds: Vec<_> = chart.bounds.iter().map(|(name, most)| (name.as_str(), most)).collect();
    let _ = writeln!(
        out,
        "    }}\n}}\n\n/// The most entries of each list of the state, by name.\npub const BOUNDS: &[(&str, u64)] = &{bounds:?};"
    );
}

fn list(kind: &str, items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("{kind}::{}", variant(item))).collect();
    format!("&[{}]", items.join(", "))
}

fn option(kind: &str, item: Option<&String>) -> String {
    item.map_or("None".into(), |item| format!("Some({kind}::{})", variant(item)))
}

fn strings(items: &[String]) -> String {
    format!("&{items:?}")
}

fn since(t: &Transition) -> String {
    let pairs = t.since.iter().map(|(guard, version)| format!("(GuardName::{}, {version})", variant(guard)));
    format!("&[{}]", pairs.collect::<Vec<_>>().join(", "))
}

fn push_spec(out: &mut String, chart: &Chart, name: &str, t: &Transition) {
    let needs_license = chart.licensed_regions.contains(&t.region);
    let _ = writeln!(
        out,
        "    TransitionSpec {{ transition: Transition::{}, region: Region::{}, from: {}, to: {}, op_class: OpClass::{}, signers: {}, guards: {}, since: {}, window: {}, closes: {}, opens: {}, cancels: {}, compensation: {}, needs_license: {needs_license}, inputs: &{:?} }},",
        variant(name),
        variant(&t.region),
        strings(&t.from),
        strings(&t.to),
        variant(&t.region),
        list("Role", &t.signers),
        list("GuardName", &chart.guards_of(t)),
        since(t),
        option("WindowClass", t.window.as_ref()),
        option("EffectName", t.closes.as_ref()),
        list("EffectName", &t.opens),
        list("EffectName", &t.cancels),
        t.compensation,
        t.inputs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(),
    );
}

fn push_inputs(out: &mut String, name: &str, t: &Transition) {
    let _ = writeln!(out, "/// Inputs of `{name}`: {}", t.doc);
    let _ =
        writeln!(out, "#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]\n#[serde(deny_unknown_fields)]");
    let _ = writeln!(out, "pub struct {} {{", variant(name));
    for (field, kind) in &t.inputs {
        let _ = writeln!(out, "    /// {}", field.replace('_', " "));
        match kind.strip_suffix('?') {
            Some(kind) => {
                let _ = writeln!(out, "    #[serde(default, skip_serializing_if = \"Option::is_none\")]");
                let _ = writeln!(out, "    pub {field}: Option<{kind}>,");
            }
            None => {
                let _ = writeln!(out, "    pub {field}: {kind},");
            }
        }
    }
    let _ = writeln!(out, "}}\n");
}

fn push_input_enum(out: &mut String, chart: &Chart) {
    let _ = writeln!(
        out,
        "/// The typed inputs of a transition.\n#[derive(Clone, Debug, PartialEq, Eq)]\npub enum Inputs {{"
    );
    for name in chart.transitions.keys() {
        let _ = writeln!(out, "    /// Of `{name}`.\n    {v}({v}),", v = variant(name));
    }
    let _ = writeln!(
        out,
        "}}\n\nimpl Inputs {{\n    /// Decodes the canonical bytes of a transition's inputs.\n    pub fn decode(transition: Transition, bytes: &[u8]) -> Result<Inputs, DecodeError> {{\n        match transition {{"
    );
    for name in chart.transitions.keys() {
        let _ =
            writeln!(out, "            Transition::{v} => from_canonical(bytes).map(Inputs::{v}),", v = variant(name));
    }
    let _ = writeln!(
        out,
        "        }}\n    }}\n\n    /// The transition these inputs are of.\n    pub fn transition(&self) -> Transition {{\n        match self {{"
    );
    for name in chart.transitions.keys() {
        let _ = writeln!(out, "            Inputs::{v}(_) => Transition::{v},", v = variant(name));
    }
    let _ = writeln!(
        out,
        "        }}\n    }}\n\n    /// The effect that the inputs name as the one they answer.\n    pub fn effect(&self) -> Option<&EffectId> {{\n        match self {{"
    );
    for (name, t) in &chart.transitions {
        let names_it = t.inputs.contains_key("effect");
        let (inputs, answer) = if names_it { ("inputs", "Some(&inputs.effect)") } else { ("_", "None") };
        let _ = writeln!(out, "            Inputs::{}({inputs}) => {answer},", variant(name));
    }
    let _ = writeln!(out, "        }}\n    }}\n}}\n");
}

/// `chart.rs`. `schema_hash` is of the chart without its prose.
pub fn chart(chart: &Chart, schema_hash: [u8; 32]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "/// The chart's version.\npub const VERSION: u64 = {};\n", chart.version);
    let _ = writeln!(
        out,
        "/// sha256 of the chart's canonical JSON without its prose.\npub const SCHEMA_HASH: Hash = Hash::from_bytes({schema_hash:?});\n"
    );
    let _ = writeln!(
        out,
        "/// The transition table, in the order of [`Transition::ALL`].\npub const TRANSITIONS: &[TransitionSpec] = &["
    );
    chart.transitions.iter().for_each(|(name, t)| push_spec(&mut out, chart, name, t));
    let _ = writeln!(
        out,
        "];\n\n/// The effect table, in the order of [`EffectName::ALL`].\npub const EFFECTS: &[EffectSpec] = &["
    );
    for (name, e) in &chart.effects {
        let _ = writeln!(
            out,
            "    EffectSpec {{ effect: EffectName::{}, region: Region::{}, state: {:?}, success: {}, failure: {}, unknown: Transition::{} }},",
            variant(name),
            variant(&e.region),
            e.state,
            list("Transition", &e.success),
            list("Transition", &e.failure),
            variant(&e.unknown)
        );
    }
    let _ = writeln!(out, "];\n\n/// What passes while a project is blocked.\npub mod passes {{\n    use super::*;");
    for (name, p) in &chart.blocked {
        let _ = writeln!(
            out,
            "    /// While {name}.\n    pub const {}: Passes = Passes {{ regions: {}, transitions: {}, compensations: {} }};",
            name.to_uppercase(),
            list("Region", &p.regions),
            list("Transition", &p.transitions),
            p.compensations
        );
    }
    let _ = writeln!(out, "}}\n\n/// The most that each list of the state may hold.\npub mod bounds {{");
    for (name, most) in &chart.bounds {
        let _ = writeln!(
            out,
            "    /// Of {}.\n    pub const {}: usize = {most};",
            name.replace('_', " "),
            name.to_uppercase()
        );
    }
    let _ = writeln!(out, "}}\n");
    chart.transitions.iter().for_each(|(name, t)| push_inputs(&mut out, name, t));
    push_input_enum(&mut out, chart);
    push_guarded(&mut out, chart);
    out
}

/// For each guard, the inputs of the transitions that name it: a guard that matches them does not compile once the chart
/// gives it to another transition.
fn push_guarded(out: &mut String, chart: &Chart) {
    let _ = writeln!(
        out,
        "/// For each guard, the inputs of the transitions that name it.\npub mod guarded {{\n    use super::*;"
    );
    for guard in chart.guards.keys() {
        let has = |t: &Transition| t.guards.contains(guard);
        let own: Vec<_> = chart.transitions.iter().filter(|(_, t)| has(t)).map(|(name, _)| variant(name)).collect();
        if own.is_empty() {
            continue;
        }
        let name = variant(guard);
        let _ = writeln!(out, "    /// Inputs that the guard `{guard}` judges.\n    pub enum {name}<'a> {{");
        own.iter().for_each(|v| _ = writeln!(out, "        {v}(&'a super::{v}),"));
        let _ = writeln!(
            out,
            "    }}\n\n    impl<'a> {name}<'a> {{\n        pub fn of(inputs: &'a Inputs) -> Option<{name}<'a>> {{\n            match inputs {{"
        );
        for (transition, t) in &chart.transitions {
            let v = variant(transition);
            let (binding, answer) =
                if has(t) { ("i", format!("Some({name}::{v}(i))")) } else { ("_", "None".to_owned()) };
            let _ = writeln!(out, "                Inputs::{v}({binding}) => {answer},");
        }
        let _ = writeln!(out, "            }}\n        }}\n    }}\n");
    }
    out.push_str("}\n");
}

/// The names of input fields must be Rust identifiers already.
pub fn check_fields(chart: &Chart) -> Vec<String> {
    let fields = chart.transitions.iter().flat_map(|(name, t)| t.inputs.keys().map(move |f| (name, f)));
    fields
        .filter(|(_, f)| snake(f) != **f)
        .map(|(name, f)| format!("transition {name}: input {f} is not in snake case"))
        .collect()
}

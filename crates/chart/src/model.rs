// The model of statechart.yaml, and the check that it is well formed. Shared by
// build.rs, which generates code from it, and by `swoosh statechart`, which checks and renders it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    pub version: u64,
    pub regions: BTreeMap<String, Region>,
    pub roles: BTreeMap<String, String>,
    pub window_classes: BTreeMap<String, String>,
    pub op_classes: BTreeMap<String, String>,
    pub base_guards: Vec<String>,
    pub licensed_guards: Vec<String>,
    pub licensed_regions: Vec<String>,
    pub guards: BTreeMap<String, Guard>,
    pub effects: BTreeMap<String, Effect>,
    pub blocked: BTreeMap<String, Passes>,
    pub bounds: BTreeMap<String, u64>,
    pub transitions: BTreeMap<String, Transition>,
    /// Rejection codes, in the order of their page.
    pub rejections: Vec<Group>,
    /// The names of the guards in the order of the text, for that page.
    #[serde(skip)]
    pub guard_order: Vec<String>,
    /// The same of the effects, for their keys in the settings.
    #[serde(skip)]
    pub effect_order: Vec<String>,
}

/// A condition on transitions.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    pub doc: String,
    /// Its entry as the code `guard_<name>`; absent if other codes name it as theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

impl Guard {
    /// Its entry: all of it, or nothing.
    pub fn entry(&self) -> Option<Entry> {
        Some(Entry {
            cause: self.cause.clone()?,
            example: self.example.clone()?,
            remedy: self.remedy.clone()?,
            rule: self.rule.clone()?,
            retry: self.retry?,
        })
    }

    fn has_any_of_entry(&self) -> bool {
        let texts = [&self.cause, &self.example, &self.remedy, &self.rule];
        texts.iter().any(|text| text.is_some()) || self.retry.is_some()
    }
}

/// Rejection codes under one heading.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub group: String,
    pub doc: String,
    /// Whether its entries are those of the guards.
    #[serde(default)]
    pub guards: bool,
    #[serde(default)]
    pub codes: Vec<Rejection>,
}

/// A rejection code that is not `guard_<name>`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    pub code: String,
    pub title: String,
    /// The guard whose failure it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    pub cause: String,
    pub example: String,
    pub remedy: String,
    pub rule: String,
    pub retry: Retry,
}

impl Rejection {
    pub fn entry(&self) -> Entry {
        Entry {
            cause: self.cause.clone(),
            example: self.example.clone(),
            remedy: self.remedy.clone(),
            rule: self.rule.clone(),
            retry: self.retry,
        }
    }
}

/// What docs/rejections.md says about a code.
#[derive(Debug, Clone)]
pub struct Entry {
    pub cause: String,
    pub example: String,
    pub remedy: String,
    pub rule: String,
    pub retry: Retry,
}

/// How trying again can help; statechart.yaml explains each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    Never,
    Head,
    Clock,
    Restamp,
    Window,
    Outside,
    Node,
    Resend,
}

/// A parallel region; the first state is the initial one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub doc: String,
    pub states: Vec<String>,
    /// States with no way out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terminal: Vec<String>,
    /// States that a region may rest in for ever while the others go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resting: Vec<String>,
}

/// Work outside the machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    pub region: String,
    pub state: String,
    pub success: Vec<String>,
    pub failure: Vec<String>,
    pub unknown: String,
    pub doc: String,
}

/// Regions and transitions that a block does not stop.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passes {
    pub regions: Vec<String>,
    pub transitions: Vec<String>,
    pub compensations: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    pub doc: String,
    /// Template of its sentence in decision records.
    pub summary: String,
    pub region: String,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub signers: Vec<String>,
    pub guards: Vec<String>,
    /// Guards that a later version of the chart added, with that version; under an earlier one they are not asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, u64>,
    pub inputs: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opens: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancels: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub compensation: bool,
}

impl Transition {
    /// Whether it leaves its region where it is: the same several states on both sides.
    pub fn stays(&self) -> bool {
        self.from.len() > 1 && self.from == self.to
    }

    /// From which state to which, state by state.
    pub fn moves(&self) -> impl Iterator<Item = (&String, &String)> {
        let pairs = self.from.iter().flat_map(|from| self.to.iter().map(move |to| (from, to)));
        pairs.filter(|(from, to)| !self.stays() || from == to)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The names of a map, in the order of the text.
fn names(chart: &yaml_serde::Value, map: &str) -> Vec<String> {
    let map = chart.get(map).and_then(yaml_serde::Value::as_mapping);
    let names = map.into_iter().flat_map(|map| map.keys());
    names.filter_map(yaml_serde::Value::as_str).map(str::to_owned).collect()
}

/// Members of regions, effects and transitions that are prose.
const PROSE: [&str; 2] = ["doc", "summary"];

impl Chart {
    /// Reads a chart. A map with a duplicate name is refused: the later entry would silently replace the earlier.
    pub fn read(text: &str) -> Result<Chart, yaml_serde::Error> {
        let checked: yaml_serde::Value = yaml_serde::from_str(text)?;
        let mut chart: Chart = yaml_serde::from_str(text)?;
        chart.guard_order = names(&checked, "guards");
        chart.effect_order = names(&checked, "effects");
        Ok(chart)
    }

    /// Every guard of a transition, in the order in which reasons are reported.
    pub fn guards_of(&self, transition: &Transition) -> Vec<String> {
        let mut guards = self.base_guards.clone();
        if self.licensed_regions.contains(&transition.region) {
            guards.extend(self.licensed_guards.iter().cloned());
        }
        if transition.window.is_some() {
            guards.push("window".into());
        }
        guards.extend(transition.guards.iter().cloned());
        guards
    }

    /// The chart without its prose, as JSON: input of the schema hash.
    pub fn without_prose(&self) -> serde_json::Result<serde_json::Value> {
        let mut json = serde_json::to_value(self)?;
        for prose in ["roles", "window_classes", "op_classes", "guards"] {
            if let Some(map) = json[prose].as_object() {
                json[prose] = map.keys().cloned().collect::<Vec<_>>().into();
            }
        }
        for described in ["regions", "effects", "transitions"] {
            let entries = json[described].as_object_mut().into_iter().flat_map(|map| map.values_mut());
            for entry in entries.filter_map(|entry| entry.as_object_mut()) {
                PROSE.iter().for_each(|member| drop(entry.remove(*member)));
            }
        }
        json.as_object_mut().into_iter().for_each(|json| drop(json.remove("rejections")));
        Ok(json)
    }

    /// Everything that is wrong with the chart; empty when it is well formed.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Problems(Vec::new());
        self.check_regions(&mut problems);
        self.check_references(&mut problems);
        self.check_effects(&mut problems);
        self.check_blocked(&mut problems);
        self.check_rejections(&mut problems);
        problems.0
    }

    fn check_regions(&self, problems: &mut Problems) {
        for (name, region) in &self.regions {
            let states: BTreeSet<_> = region.states.iter().collect();
            problems.when(states.len() != region.states.len(), || format!("region {name}: a state is named twice"));
            problems.when(region.states.is_empty(), || format!("region {name}: has no states"));
            problems.when(!self.op_classes.contains_key(name), || {
                format!("region {name}: there is no op class of its name")
            });
            for state in region.terminal.iter().chain(&region.resting) {
                problems.when(!states.contains(state), || format!("region {name}: {state} is not one of its states"));
            }
            self.check_paths(name, region, problems);
        }
    }

    fn check_paths(&self, name: &str, region: &Region, problems: &mut Problems) {
        let own: Vec<_> = self.transitions.values().filter(|t| t.region == name).collect();
        let mut reached: BTreeSet<&String> = region.states.first().into_iter().collect();
        loop {
            let next: Vec<_> = own
                .iter()
                .flat_map(|t| t.moves())
                .filter(|(from, _)| reached.contains(from))
                .map(|(_, to)| to)
                .collect();
            let before = reached.len();
            reached.extend(next);
            if reached.len() == before {
                break;
            }
        }
        for state in &region.states {
            problems.when(!reached.contains(state), || format!("region {name}: {state} cannot be reached"));
            let leaves = own.iter().flat_map(|t| t.moves()).any(|(from, to)| from == state && to != state);
            let stays = region.terminal.contains(state) || region.resting.contains(state);
            problems.when(!leaves && !stays, || format!("region {name}: {state} has no way out"));
            problems.when(leaves && region.terminal.contains(state), || {
                format!("region {name}: {state} is terminal but has a way out")
            });
        }
    }

    fn check_references(&self, problems: &mut Problems) {
        for (name, transition) in &self.transitions {
            let mut missing = |kind: &str, item: &String, known: bool| {
                problems.when(!known, || format!("transition {name}: there is no {kind} {item}"));
            };
            let states =
                self.regions.get(&transition.region).map(|region| region.states.as_slice()).unwrap_or_default();
            missing("region", &transition.region, self.regions.contains_key(&transition.region));
            transition.from.iter().chain(&transition.to).for_each(|s| missing("state", s, states.contains(s)));
            self.guards_of(transition).iter().for_each(|g| missing("guard", g, self.guards.contains_key(g)));
            transition.signers.iter().for_each(|r| missing("role", r, self.roles.contains_key(r)));
            transition.window.iter().for_each(|w| missing("window class", w, self.window_classes.contains_key(w)));
            let effects = transition.opens.iter().chain(&transition.cancels).chain(&transition.closes);
            effects.for_each(|e| missing("effect", e, self.effects.contains_key(e)));
            for (guard, version) in &transition.since {
                problems.when(!transition.guards.contains(guard), || {
                    format!("transition {name}: since names {guard}, which is not one of its guards")
                });
                problems.when(!(2..=self.version).contains(version), || {
                    format!("transition {name}: {guard} cannot be asked since version {version}")
                });
            }
            problems.when(transition.from.is_empty() || transition.to.is_empty(), || {
                format!("transition {name}: leads nowhere")
            });
            problems.when(transition.signers.is_empty(), || format!("transition {name}: it has no signers"));
            problems.when(transition.summary.trim().is_empty(), || format!("transition {name}: it has no summary"));
        }
        for guard in self.guards.keys() {
            let used = self.transitions.values().any(|t| self.guards_of(t).contains(guard));
            problems.when(!used, || format!("guard {guard}: no transition uses it"));
        }
    }

    fn check_effects(&self, problems: &mut Problems) {
        for (name, effect) in &self.effects {
            let state_known = self.regions.get(&effect.region).is_some_and(|r| r.states.contains(&effect.state));
            problems
                .when(!state_known, || format!("effect {name}: there is no state {}/{}", effect.region, effect.state));
            problems.when(effect.success.is_empty() || effect.failure.is_empty(), || {
                format!("effect {name}: names no success or no failure")
            });
            for outcome in effect.success.iter().chain(&effect.failure).chain([&effect.unknown]) {
                let closes = self.transitions.get(outcome).is_some_and(|t| t.closes.as_ref() == Some(name));
                problems.when(!closes, || format!("effect {name}: {outcome} does not close it"));
            }
            let opened = self.transitions.values().any(|t| t.opens.contains(name));
            problems.when(!opened, || format!("effect {name}: no transition opens it"));
        }
        for (name, transition) in &self.transitions {
            let Some(closes) = &transition.closes else { continue };
            let names = |effect: &Effect| effect.success.contains(name) || effect.failure.contains(name);
            let effect = self.effects.get(closes);
            let known = effect.is_some_and(names);
            problems.when(!known, || format!("transition {name}: effect {closes} does not name it as an outcome"));
            let elsewhere = effect.filter(|e| e.region != transition.region || transition.from != [e.state.as_str()]);
            elsewhere.into_iter().for_each(|e| {
                problems.0.push(format!(
                    "transition {name}: must start from {}/{}, where {closes} is open",
                    e.region, e.state
                ))
            });
            let guarded = transition.guards.iter().any(|g| g == "effect") && transition.inputs.contains_key("effect");
            problems.when(!guarded, || format!("transition {name}: an outcome needs the guard and the input `effect`"));
        }
    }

    fn check_blocked(&self, problems: &mut Problems) {
        for (name, passes) in &self.blocked {
            for region in &passes.regions {
                problems.when(!self.regions.contains_key(region), || {
                    format!("blocked {name}: there is no region {region}")
                });
            }
            for transition in &passes.transitions {
                problems.when(!self.transitions.contains_key(transition), || {
                    format!("blocked {name}: there is no transition {transition}")
                });
            }
        }
        let expected = ["expired", "paused", "quarantined", "recovery"];
        problems.when(!self.blocked.keys().map(String::as_str).eq(expected), || {
            format!("blocked: must be exactly {expected:?}")
        });
    }
}

impl Chart {
    /// Every code has one entry, and every guard an entry or a code of its own.
    fn check_rejections(&self, problems: &mut Problems) {
        let mut seen = BTreeSet::new();
        for rejection in self.rejections.iter().flat_map(|group| &group.codes) {
            let code = &rejection.code;
            problems.when(!seen.insert(code), || format!("rejection {code}: the code is listed twice"));
            problems.when(code.starts_with("guard_"), || format!("rejection {code}: a guard's entry is under guards"));
            let guard = rejection.guard.as_ref().filter(|guard| !self.guards.contains_key(*guard));
            guard.into_iter().for_each(|guard| {
                problems.0.push(format!("rejection {code}: there is no guard {guard}"));
            });
            let texts = [&rejection.title, &rejection.cause, &rejection.example, &rejection.remedy, &rejection.rule];
            problems.when(texts.iter().any(|text| text.trim().is_empty()), || {
                format!("rejection {code}: title, cause, example, remedy and rule need a text each")
            });
        }
        for (name, guard) in &self.guards {
            let mut codes = self.rejections.iter().flat_map(|group| &group.codes);
            let has_own = codes.any(|rejection| rejection.guard.as_ref() == Some(name));
            let whole = guard.entry().is_some();
            problems.when(!whole && (guard.has_any_of_entry() || !has_own), || {
                format!("guard {name}: it needs cause, example, remedy, rule and retry, or a rejection that names it")
            });
        }
        let of_guards = self.rejections.iter().filter(|group| group.guards).count();
        problems.when(of_guards != 1, || "rejections: exactly one group has the guards".to_owned());
    }
}

struct Problems(Vec<String>);

impl Problems {
    fn when(&mut self, wrong: bool, say: impl FnOnce() -> String) {
        if wrong {
            self.0.push(say());
        }
    }
}

//! Every section has the bytes that the reference canonicaliser gives it.

use std::str::FromStr;

use proptest::prelude::*;

use super::*;
use swoosh_types::keys::SecretKey;

/// Content of a generated state.
#[derive(Clone, Debug)]
struct Filling {
    names: Vec<String>,
    prose: String,
    number: u64,
    hash: Hash,
    given: bool,
    secret: [u8; 32],
}

impl Filling {
    fn some<T>(&self, value: T) -> Option<T> {
        self.given.then_some(value)
    }

    /// A map from every name to one value.
    fn named<K: FromStr<Err: std::fmt::Debug>, V: Clone, M: FromIterator<(K, V)>>(&self, value: V) -> M {
        self.names.iter().map(|name| (name.parse().unwrap(), value.clone())).collect()
    }

    fn one_of<T: Copy>(&self, all: &[T]) -> T {
        all[self.number as usize % all.len()]
    }

    fn key(&self) -> PublicKey {
        SecretKey::from_bytes(&self.secret).public()
    }

    fn clock(&self) -> Hlc {
        Hlc::new(self.number % swoosh_types::civil::MAX_MS, 7).unwrap()
    }

    fn detail(&self) -> Detail {
        self.prose.parse().unwrap()
    }

    fn failure(&self) -> Failure {
        Failure { detail: self.detail(), unknown: self.given }
    }

    fn effects(&self) -> Effects {
        let effect = self.one_of(EffectName::ALL);
        let id = EffectId { project: "default".parse().unwrap(), index: self.number, digest: None, effect };
        [(effect, OpenEffect { id, opened_at: self.clock() })].into()
    }

    fn state(&self) -> State {
        let mut state = State::genesis(&"default".parse().unwrap());
        state.boot = Arc::new(self.boot());
        state.ingestion = Arc::new(self.ingestion());
        state.council = Arc::new(self.council());
        state.environment = Arc::new(self.environment());
        state.execution = Arc::new(self.execution());
        let control = Arc::make_mut(&mut state.control);
        (control.paused, control.rationale) = (self.given, self.some(self.prose.clone()));
        state.policy = Arc::new(self.policy());
        Arc::make_mut(&mut state.epoch).council = self.number;
        let idem_key = "goal-7:42:council:0b8e7a52".parse().unwrap();
        state.hlc_last = Arc::new(self.some(HlcLast { hlc: self.clock(), signer: self.key(), idem_key }));
        state
    }

    fn boot(&self) -> Boot {
        let roles = Role::ALL.iter().copied().collect();
        let delegation =
            || Delegation { op_classes: [OpClass::Council].into(), projects: ["alpha".parse().unwrap()].into() };
        let identity = Identity {
            name: "a".parse().unwrap(),
            roles,
            revoked: self.given,
            delegate: self.given.then(delegation),
            retires_at: self.given.then(Hlc::default),
            succeeds: self.given.then(|| self.key()),
        };
        Boot {
            phase: self.one_of(BootState::ALL),
            licensed_at: self.some(self.clock()),
            identities: [(self.key(), identity)].into(),
        }
    }

    fn ingestion(&self) -> Ingestion {
        let commit: swoosh_types::text::GitId = "0".repeat(40).parse().unwrap();
        let fetched: FetchedSources = self.named(FetchedSource { commit: commit.clone(), tree: commit.clone() });
        let source = SourceSpec { url: "https://a.example/x".parse().unwrap(), reference: "main".parse().unwrap() };
        let name: Name = "pins".parse().unwrap();
        let seen = ContentSeen { files: self.number, flags: [name.clone()].into(), ..ContentSeen::default() };
        let outcome = CheckOutcome {
            check: name.clone(),
            source: name,
            ok: self.given,
            detail: self.some(self.detail()),
            seen: self.some(Box::new(seen)),
        };
        let ready = ReadyVersion { content_hash: self.hash, fetched: fetched.clone() };
        Ingestion {
            phase: self.one_of(IngestionState::ALL),
            version: self.number,
            sources: self.named(source.clone()),
            upstreams: self.named(source),
            resolved: self.named(ResolvedSource { commit }),
            fetched,
            outcomes: vec![outcome; self.names.len()],
            content_hash: self.some(self.hash),
            ready_versions: [9, 10, 100, self.number].map(|version| (version, ready.clone())).into(),
            last_failure: self.some(self.failure()),
            effects: self.effects(),
            ..Ingestion::default()
        }
    }

    fn council(&self) -> Council {
        let (url, server) = ("https://a.example/mcp".parse().unwrap(), "Fern \"1\"".parse().unwrap());
        let pin = ToolPin { url, server, version: "1.2.3".parse().unwrap() };
        let seen = ServerSeen { server: pin.server.clone(), version: pin.version.clone() };
        let capabilities: BTreeSet<Capability> = self.names.iter().map(|name| name.parse().unwrap()).collect();
        let vote = Vote { voter: self.key(), signature: SecretKey::from_bytes(&self.secret).sign(b"vote") };
        let certificate =
            Certificate { council_epoch: self.number, member_set_hash: self.hash, votes: vec![vote; self.names.len()] };
        Council {
            phase: self.one_of(CouncilState::ALL),
            roles: self.named(RoleSpec { capabilities: capabilities.clone(), seats: self.number }),
            tool_pins: self.named(pin),
            candidates: [(self.key(), capabilities)].into(),
            election_seed: self.some(self.hash),
            members: [(self.key(), "lead".parse().unwrap())].into(),
            member_set_hash: self.some(self.hash),
            certificate: self.some(certificate),
            tooling: self.named(seen),
            unreachable: self.named(self.detail()),
            version: self.some(self.number),
            effects: self.effects(),
            ..Council::default()
        }
    }

    fn build(&self) -> BuildChoice {
        let name = |text: &str| text.parse().unwrap();
        BuildChoice { environment: name("dev"), builder: name("file.linux-image"), variant: self.some(name("minimal")) }
    }

    fn environment(&self) -> Environment {
        Environment {
            phase: self.one_of(EnvironmentState::ALL),
            allocation: self.named(self.number),
            builds: vec![self.build()],
            assets: self.named(self.hash),
            assets_hash: self.some(self.hash),
            outcomes: self.named(AssetHealth::Degraded),
            last_failure: self.some(self.failure()),
            version: self.some(self.number),
            effects: self.effects(),
            ..Environment::default()
        }
    }

    fn execution(&self) -> Execution {
        let (number, hash, signer) = (self.number, self.hash, self.key());
        let pin = Pin { version: number, content_hash: hash, member_set_hash: hash, assets_hash: hash };
        let approval = Approval {
            plan_hash: hash,
            beat: number,
            rework_round: 0,
            council_epoch: number,
            signer: self.some(signer),
        };
        let submission: UcxlAddress = "ucxl://a:b@c/…".parse().unwrap();
        Execution {
            phase: self.one_of(ExecutionState::ALL),
            pin: self.some(pin),
            plan_hash: self.some(hash),
            window: self.some(WindowId { day_ms: 0, ordinal: number % 1000 }),
            approvals: [(signer, approval)].into(),
            submissions: vec![Submission { submission, submission_hash: hash, signer }],
            evidence: vec!["bubble://dr/é".parse().unwrap()],
            ..Execution::default()
        }
    }

    fn policy(&self) -> Policy {
        let breach = Breach {
            signer: self.key(),
            roles: Role::ALL.iter().copied().collect(),
            transition: self.one_of(Transition::ALL),
            inputs_hash: self.hash,
            bundle_serial: self.number,
            reasons: vec![self.detail(); self.names.len()],
            more: self.some(self.number),
        };
        Policy {
            phase: self.one_of(PolicyState::ALL),
            rationale: self.some(self.prose.parse().unwrap()),
            origin: self.some(QuarantineOrigin::Declared),
            breach: self.some(breach),
            struck_serial: self.some(self.number),
            bundle_hash: self.some(self.hash),
        }
    }
}

fn filling() -> impl Strategy<Value = Filling> {
    let names = prop::collection::vec("[a-z0-9][a-z0-9._-]{0,12}", 0..6);
    let number = 0..=swoosh_types::json::MAX_INTEGER;
    (names, "[a-z][ -~é\n\t\u{10000}]{0,40}", number, any::<[u8; 32]>(), any::<bool>()).prop_map(
        |(names, prose, number, secret, given)| Filling {
            names,
            prose,
            number,
            hash: Hash::of(&secret),
            given,
            secret,
        },
    )
}

proptest! {
    #[test]
    fn sections_are_written_as_the_reference_writes_them(filling in filling()) {
        let state = filling.state();
        let serde_json::Value::Object(sections) = serde_json::to_value(&state).unwrap() else { panic!() };
        for section in Section::ALL {
            let expected = serde_json_canonicalizer::to_vec(&sections[section.as_str()]).unwrap();
            prop_assert_eq!(state.section_bytes(section), expected, "{}", section);
        }
        prop_assert_eq!(swoosh_types::canonical::canonical_bytes(&state), serde_json_canonicalizer::to_vec(&state).unwrap());
    }
}

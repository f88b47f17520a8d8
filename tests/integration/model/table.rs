//! The chart once more, by hand: `name | from | signers | guards | window | c`, `c` for a compensation. The
//! guards are in the order of their reports, without those that every transition carries.

use std::sync::OnceLock;

const TABLE: &str = "
Boot_ConfigOk | UNINITIALIZED | operator | document | |
Boot_Licensed | LICENSE_CHECK | operator agent worker node | license | |
Boot_IdentityGranted | LICENSE_CHECK LICENSED | operator | operators | |
Boot_IdentityRevoked | LICENSE_CHECK LICENSED | operator | operators | |
Boot_IdentityRotated | LICENSE_CHECK LICENSED | operator | rotation | |
Boot_ChartUpgraded | LICENSE_CHECK LICENSED | node | chart | |
Ingestion_SourcesResolved | DISCOVER | worker node | effect coverage sources | |
Ingestion_ResolveFailed | DISCOVER | worker node | effect | |
Ingestion_BytesOk | FETCH | worker node | effect coverage | |
Ingestion_FetchFailed | FETCH | worker node | effect | |
Ingestion_SchemaOk | VALIDATE | worker node | effect coverage | |
Ingestion_ValidateFailed | VALIDATE | worker node | effect | |
Ingestion_PolicyViolation | VALIDATE | worker node | effect bundle | |
Ingestion_CorpusBuilt | INDEX | worker node | effect | |
Ingestion_IndexFailed | INDEX | worker node | effect | |
Ingestion_Retry | DISCOVER | operator worker | retryable sources | |
Ingestion_NewVersion | READY | operator agent worker | sources | |
Ingestion_RollbackIndex | DISCOVER FETCH VALIDATE INDEX READY | operator | retained | | c
Council_ProfilesLoaded | PLAN_ROLES | operator agent voter | roster | |
Council_QuorumCert | ELECT | operator agent voter | quorum | |
Council_McpGreen | TOOLING_SYNC | worker node | effect tooling | |
Council_McpRed | TOOLING_SYNC | worker node | effect coverage | |
Council_Eject | TOOLING_SYNC READY | operator voter | roster entered | | c
Council_ReElect | TOOLING_SYNC READY | operator voter | entered | | c
Council_Replan | ELECT TOOLING_SYNC READY | operator voter | document entered | | c
Council_Reaffirm | READY | operator agent voter | versions | |
Environment_CapacityOk | ALLOCATE | worker node | effect release capacity | |
Environment_CapacityDenied | ALLOCATE | worker node | effect release | |
Environment_Installed | PROVISION | worker node | effect coverage | |
Environment_ProvisionFailed | PROVISION | worker node | effect | |
Environment_Green | HEALTHCHECK | worker node | effect coverage health | |
Environment_Amber | HEALTHCHECK | worker node | effect coverage health | |
Environment_HealthFailed | HEALTHCHECK | worker node | effect | |
Environment_Recheck | READY DEGRADED | operator agent worker | | |
Environment_Deprovision | ALLOCATE PROVISION HEALTHCHECK READY DEGRADED | operator | entered | | c
Environment_Released | ALLOCATE | worker node | effect | |
Environment_ReleaseFailed | ALLOCATE | worker node | effect | |
Environment_Reaffirm | READY | operator agent worker | versions | |
Execution_AllReady | INACTIVE | operator agent voter | prerequisites | |
Execution_PlanLocked | PLAN | operator agent voter | window pin | plan |
Execution_PlanChange | PLAN | operator agent voter | prerequisites | |
Execution_BeatReviewGate | WORK | operator agent voter | window pin | review |
Execution_Rework | REVIEW | operator agent voter | window | review |
Execution_Approve | REVIEW | voter | window member binding pin | reverb |
Execution_ApprovalsThreshold | REVIEW | operator agent voter | window threshold pin | reverb |
Execution_Submit | REVERB | operator agent voter | window ready | reverb |
Execution_NextWindow | REVERB | operator agent voter | window fresh_window ready | plan |
License_GraceEntered | ACTIVE | node | license_status | |
License_Expired | ACTIVE | node | license_status | |
License_Renewed | ACTIVE | node | license_status | |
Control_Pause | ACTIVE | operator | | |
Control_Resume | ACTIVE | operator | | |
Control_QuorumLost | ACTIVE | node operator | liveness | |
Control_Recovered | ACTIVE | node operator | liveness | |
Control_Terminate | ACTIVE | operator | | |
Policy_Quarantine | CLEAR QUARANTINED | node operator human | bundle | |
Policy_Release | QUARANTINED | human | | |
Policy_Updated | QUARANTINED | operator human node | bundle breach | |
Policy_ConfirmedBlock | QUARANTINED | human | | |
";

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: &'static str,
    pub region: &'static str,
    pub from: Vec<&'static str>,
    /// Roles that may sign it.
    pub signers: Vec<&'static str>,
    pub guards: Vec<&'static str>,
    /// Its class of window.
    pub window: Option<&'static str>,
    /// Whether it is a compensation.
    pub compensation: bool,
}

pub fn lines() -> &'static [Line] {
    static LINES: OnceLock<Vec<Line>> = OnceLock::new();
    LINES.get_or_init(|| TABLE.lines().filter(|line| !line.is_empty()).map(line).collect())
}

/// The line of a transition.
pub fn named(name: &str) -> &'static Line {
    lines().iter().find(|line| line.name == name).unwrap()
}

fn line(text: &'static str) -> Line {
    let cells: Vec<&str> = text.split('|').map(str::trim).collect();
    let words = |cell: &'static str| cell.split_whitespace().collect::<Vec<_>>();
    let region = match cells[0].split_once('_').unwrap().0 {
        "Boot" => "boot",
        "Ingestion" => "ingestion",
        "Council" => "council",
        "Environment" => "environment",
        "Execution" => "execution",
        "License" | "Control" => "control",
        _ => "policy",
    };
    Line {
        name: cells[0],
        region,
        from: words(cells[1]),
        signers: words(cells[2]),
        guards: words(cells[3]),
        window: words(cells[4]).first().copied(),
        compensation: cells[5] == "c",
    }
}

/// Which effect an outcome ends.
pub fn ends(transition: &str) -> Option<&'static str> {
    Some(match transition {
        "Ingestion_SourcesResolved" | "Ingestion_ResolveFailed" => "resolve",
        "Ingestion_BytesOk" | "Ingestion_FetchFailed" => "fetch",
        "Ingestion_SchemaOk" | "Ingestion_ValidateFailed" | "Ingestion_PolicyViolation" => "validate",
        "Ingestion_CorpusBuilt" | "Ingestion_IndexFailed" => "index",
        "Council_McpGreen" | "Council_McpRed" => "probe",
        "Environment_CapacityOk" | "Environment_CapacityDenied" => "allocate",
        "Environment_Installed" | "Environment_ProvisionFailed" => "provision",
        "Environment_Green" | "Environment_Amber" | "Environment_HealthFailed" => "healthcheck",
        "Environment_Released" | "Environment_ReleaseFailed" => "release",
        _ => return None,
    })
}

//! The world outside, as facts describe it in tests and simulated worlds.

/// The MCP server that every project document pins.
pub const SERVER_URL: &str = "https://mcp.example/search";

/// A policy bundle, similar to the default one of the daemon.
pub const POLICIES: &str = r#"
@id("node") permit (principal in Role::"node", action, resource);
@id("operators") permit (principal in Role::"operator", action, resource);
@id("agents") permit (principal in Role::"agent", action in
    [Action::"Boot_Licensed", Action::"ingestion", Action::"council", Action::"environment", Action::"execution"],
    resource);
@id("voters") permit (principal in Role::"voter", action in [Action::"council", Action::"execution"], resource);
@id("workers") permit (principal in Role::"worker", action in
    [Action::"Boot_Licensed", Action::"ingestion", Action::"council", Action::"environment"], resource);
@id("humans") permit (principal in Role::"human", action in Action::"policy", resource);
@id("secrets") @breach("the submission points at a secret")
forbid (principal, action == Action::"Execution_Submit", resource)
when { context.inputs has submission && context.inputs.submission like "*.pem" };
"#;

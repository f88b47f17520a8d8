//! An MCP server: the official `rmcp` server over streamable HTTP, with two tools.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use rmcp::model::{
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::{Manner, Running, endless};

/// What the server says it is, and how it behaves.
#[derive(Debug)]
struct Part {
    identity: Mutex<(String, String)>,
    manner: Mutex<Manner>,
    requests: AtomicUsize,
}

/// An MCP server whose version and behaviour can change.
#[derive(Debug)]
pub struct McpStandIn {
    running: Option<Running>,
    part: Arc<Part>,
    address: SocketAddr,
}

impl McpStandIn {
    /// Starts a server that says it is this, on a free port of this machine.
    pub fn start(name: &str, version: &str) -> std::io::Result<McpStandIn> {
        let part = Part {
            identity: Mutex::new((name.to_owned(), version.to_owned())),
            manner: Mutex::default(),
            requests: AtomicUsize::new(0),
        };
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = McpStandIn { running: None, part: Arc::new(part), address: free };
        server.come_back()?;
        Ok(server)
    }

    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// It says it is of another version from now on.
    pub fn become_version(&self, version: &str) {
        self.part.identity.lock().unwrap_or_else(PoisonError::into_inner).1 = version.to_owned();
    }

    /// It behaves like this from now on.
    pub fn behave(&self, manner: Manner) {
        *self.part.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// How many requests it got.
    pub fn requests(&self) -> usize {
        self.part.requests.load(Ordering::Relaxed)
    }

    /// Stops the server and closes its port.
    pub fn go_away(&mut self) {
        self.running = None;
    }

    /// It listens again where it did.
    pub fn come_back(&mut self) -> std::io::Result<()> {
        let running = Running::serve(self.address, router(self.part.clone()))?;
        self.address = running.address;
        self.running = Some(running);
        Ok(())
    }
}

fn router(part: Arc<Part>) -> axum::Router {
    let tools = part.clone();
    let service: StreamableHttpService<Tools, LocalSessionManager> = StreamableHttpService::new(
        move || Ok(Tools(tools.clone())),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    axum::Router::new().nest_service("/mcp", service).layer(from_fn_with_state(part, behave))
}

async fn behave(State(part): State<Arc<Part>>, request: Request, next: Next) -> Response {
    part.requests.fetch_add(1, Ordering::Relaxed);
    let manner = *part.manner.lock().unwrap_or_else(PoisonError::into_inner);
    let json = [(header::CONTENT_TYPE, "application/json")];
    let stream = [(header::CONTENT_TYPE, "text/event-stream")];
    match manner {
        Manner::Well => next.run(request).await,
        Manner::Hangs => std::future::pending().await,
        // First the one way to answer without an end, then the other.
        Manner::Floods if part.requests.load(Ordering::Relaxed).is_multiple_of(2) => {
            (json, endless("{\"jsonrpc\":")).into_response()
        }
        Manner::Floods => (stream, endless("data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n")).into_response(),
        Manner::Garbage => (json, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":[]}").into_response(),
        Manner::Fails => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The server's tools.
#[derive(Clone, Debug)]
struct Tools(Arc<Part>);

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let (name, version) = self.0.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new(name, version))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str, what: &'static str| Tool::new(name, what, Arc::new(JsonObject::new()));
        Ok(ListToolsResult::with_all_items(vec![
            tool("find", "Finds documents."),
            tool("fetch", "Fetches a document."),
        ]))
    }
}

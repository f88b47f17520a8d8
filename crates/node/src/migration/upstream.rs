//! WHOOSH, as the shim sees it: an HTTP client under the network gate.

use futures::FutureExt as _;
use reqwest::Method;

use swoosh_migration::{BoxFuture, Whoosh, WhooshError};
use swoosh_platform::gate::NetworkGate;
use swoosh_platform::outbound::{Http, LentClient, OutboundError};
use swoosh_types::migration::{Call, WhooshAnswer};

/// WHOOSH behind the shim.
pub struct Upstream {
    pub http: Http,
    pub gate: NetworkGate,
    pub address: String,
}

impl Whoosh for Upstream {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<WhooshAnswer, WhooshError>> {
        async move {
            let url: reqwest::Url = format!("{}{}", self.address, call.target)
                .parse()
                .map_err(|error| WhooshError::Unreachable(format!("{}: {error}", call.target)))?;
            let method = Method::from_bytes(call.method.as_bytes()).unwrap_or(Method::GET);
            let request = |client: &LentClient| {
                let request = client.request(method, url).body(call.body);
                call.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
            };
            let answer = self.http.send(request).await.map_err(unanswered)?;
            let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            Ok(WhooshAnswer { status: answer.status.as_u16(), headers: headers.collect(), body: answer.body })
        }
        .boxed()
    }

    fn barred(&self) -> Option<String> {
        self.gate.pass().err().map(|closed| closed.to_string())
    }
}

fn unanswered(error: OutboundError) -> WhooshError {
    match error {
        OutboundError::Closed(_) => WhooshError::Closed(format!("nothing leaves this node: {error}")),
        OutboundError::Timeout { .. } => WhooshError::Timeout(format!("WHOOSH: {error}")),
        OutboundError::Setup(_)
        | OutboundError::Connect { .. }
        | OutboundError::Broken { .. }
        | OutboundError::TooLarge { .. } => WhooshError::Unreachable(format!("WHOOSH: {error}")),
    }
}

//! Errors as problem documents: RFC 9457, `application/problem+json`.

use std::time::Duration;

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::MAX_BODY;

/// The longest `detail`, in characters: it may quote what a client sent.
const MAX_DETAIL: usize = 300;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// The status in short, stable words.
    title: &'static str,
    /// The HTTP status again, as the RFC wants it.
    pub(super) status: u16,
    /// What was wrong with this request, and what would be right.
    pub(super) detail: String,
    /// After how many seconds to come again: a header, not part of the document.
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A parameter that is missing, unknown or out of range.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad request", detail)
    }

    /// A path, host or asset that is not there.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    /// A method that is not answered there.
    pub(super) fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail)
    }

    /// A request by somebody who has to log in first, or has failed to.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// What comes too often; after `wait` it may come again.
    pub(super) fn too_many(detail: impl Into<String>, wait: Duration) -> Self {
        Self {
            retry_after_s: Some(wait.as_secs() + 1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests", detail)
        }
    }

    /// A request that does not end.
    pub(super) fn late(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request timeout", detail)
    }

    /// A body that says it is something else than what is read there.
    fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type", detail)
    }

    /// A request by somebody who may only read.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A request that names a host which this page is not.
    pub(super) fn misdirected(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected request", detail)
    }

    /// It was decided otherwise, or cannot be done as things stand.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// What was there and holds no more.
    pub(super) fn gone(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", detail)
    }

    /// More at a time than are served.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        Self {
            title,
            status: status.as_u16(),
            detail: detail.chars().take(MAX_DETAIL).collect(),
            retry_after_s: None,
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a body has at most {MAX_BODY} bytes");
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload too large", detail);
        }
        if let JsonRejection::MissingJsonContentType(_) = rejection {
            return Self::unsupported("a body is JSON, and says so: Content-Type: application/json");
        }
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = HeaderValue::from_static("application/problem+json");
        let retry = self
            .retry_after_s
            .map(|seconds| [(header::RETRY_AFTER, HeaderValue::from(seconds))]);
        let answer = (status, [(header::CONTENT_TYPE, kind)], Json(self));
        match retry {
            Some(retry) => (retry, answer).into_response(),
            None => answer.into_response(),
        }
    }
}

//! One route as the document tells it.

use axum::http::StatusCode;
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HttpMethod, ObjectBuilder, Ref, RefOr, Required, ResponseBuilder, Schema, Type,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem},
        request_body::RequestBodyBuilder,
    },
};

use super::security;
use crate::{
    history::Told,
    page::{problem::Problem, records::Newest},
};

pub(super) const JSON: &str = "application/json";

/// One route with one method.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    summary: &'static str,
    parameters: Vec<Parameter>,
    body: Option<Shape>,
    answer: Answer,
    /// What a status beside 200 has that is no problem: its description, and its body.
    also: Option<(StatusCode, &'static str, Shape)>,
}

enum Answer {
    Json(Shape),
    /// Something else, by its content type.
    Other(&'static str),
}

/// A type that is told as JSON: its name, and the schemas that it takes.
#[derive(Clone)]
struct Shape {
    name: String,
    schemas: fn(&mut Vec<(String, RefOr<Schema>)>),
}

fn shape<T: ToSchema>() -> Shape {
    Shape {
        name: T::name().into(),
        schemas: |all| {
            T::schemas(all);
            all.push((T::name().into(), T::schema()));
        },
    }
}

/// A list of `I`: utoipa calls all lists of a kind the same, and leaves out what they are of.
fn list_of<L: ToSchema, I: ToSchema>() -> Shape {
    fn name<L: ToSchema, I: ToSchema>() -> String {
        format!("{}Of{}", L::name(), I::name())
    }
    Shape {
        name: name::<L, I>(),
        schemas: |all| {
            (shape::<I>().schemas)(all);
            L::schemas(all);
            all.push((name::<L, I>(), L::schema()));
        },
    }
}

pub(super) fn get<T: ToSchema>(path: &'static str, summary: &'static str, parameters: Vec<Parameter>) -> Route {
    Route {
        path,
        method: HttpMethod::Get,
        summary,
        parameters,
        body: None,
        answer: Answer::Json(shape::<T>()),
        also: None,
    }
}

/// The newest records of one kind.
pub(super) fn newest<I: ToSchema>(path: &'static str, summary: &'static str, parameters: Vec<Parameter>) -> Route {
    Route {
        answer: Answer::Json(list_of::<Newest<I>, I>()),
        ..get::<I>(path, summary, parameters)
    }
}

/// Stored records of one kind.
pub(super) fn told<I: ToSchema>(path: &'static str, summary: &'static str, parameters: Vec<Parameter>) -> Route {
    Route {
        answer: Answer::Json(list_of::<Told<I>, I>()),
        ..get::<I>(path, summary, parameters)
    }
}

pub(super) fn other(path: &'static str, summary: &'static str, kind: &'static str) -> Route {
    Route {
        answer: Answer::Other(kind),
        ..get::<Problem>(path, summary, Vec::new())
    }
}

pub(super) fn post<B: ToSchema, T: ToSchema>(
    path: &'static str,
    summary: &'static str,
    parameters: Vec<Parameter>,
) -> Route {
    Route {
        method: HttpMethod::Post,
        body: Some(shape::<B>()),
        ..get::<T>(path, summary, parameters)
    }
}

fn parameter(place: ParameterIn, name: &str, about: &str, is_required: bool) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(about))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

pub(super) fn of_path(name: &str, about: &str) -> Parameter {
    parameter(ParameterIn::Path, name, about, true)
}

pub(super) fn optional(pairs: &[(&str, &str)]) -> Vec<Parameter> {
    let each = pairs
        .iter()
        .map(|(name, about)| parameter(ParameterIn::Query, name, about, false));
    each.collect()
}

pub(super) fn needed(name: &str, about: &str) -> Parameter {
    parameter(ParameterIn::Query, name, about, true)
}

pub(super) fn all<const N: usize>(parts: [Vec<Parameter>; N]) -> Vec<Parameter> {
    parts.into_iter().flatten().collect()
}

impl Shape {
    fn content(self) -> Content {
        ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(self.name)))
            .build()
    }
}

impl Route {
    /// With a body of `T` for `status` too.
    pub(super) fn or<T: ToSchema>(self, status: StatusCode, about: &'static str) -> Self {
        Self {
            also: Some((status, about, shape::<T>())),
            ..self
        }
    }

    /// Adds the schemas of what is asked and answered.
    pub(super) fn schemas(&self, all: &mut Vec<(String, RefOr<Schema>)>) {
        let answer = match &self.answer {
            Answer::Json(shape) => Some(shape),
            Answer::Other(_) => None,
        };
        let fault = shape::<Problem>();
        let also = self.also.as_ref().map(|(_, _, shape)| shape);
        for shape in self.body.iter().chain(answer).chain(also).chain([&fault]) {
            (shape.schemas)(all);
        }
    }

    /// What the document says of it.
    pub(super) fn item(self) -> PathItem {
        let answer = ResponseBuilder::new().description(self.summary);
        let answer = match self.answer {
            Answer::Json(shape) => answer.content(JSON, shape.content()),
            Answer::Other(kind) => answer.content(kind, Content::default()),
        };
        let fault = ResponseBuilder::new()
            .description("Why there is no answer (RFC 9457)")
            .content("application/problem+json", shape::<Problem>().content());
        let (securities, who) = security::needed(&self.method, self.path);
        let mut operation = OperationBuilder::new()
            .summary(Some(self.summary))
            .description(who)
            .securities(Some(securities))
            .parameters(Some(self.parameters))
            .response("200", answer.build())
            .response("default", fault.build());
        if let Some((status, about, shape)) = self.also {
            let also = ResponseBuilder::new().description(about).content(JSON, shape.content());
            operation = operation.response(status.as_str(), also.build());
        }
        if let Some(body) = self.body {
            let body = RequestBodyBuilder::new()
                .content(JSON, body.content())
                .required(Some(Required::True));
            operation = operation.request_body(Some(body.build()));
        }
        PathItem::new(self.method, operation.build())
    }
}

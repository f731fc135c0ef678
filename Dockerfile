# One build, three small images: docker build --target agent|broker|brain .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p foreshadow-agent -p foreshadow-broker -p foreshadow-brain \
 && mkdir /out && cp target/release/foreshadow-agent target/release/foreshadow-broker target/release/foreshadow-brain /out/

FROM debian:bookworm-slim AS base
RUN useradd --system --uid 10001 --home-dir /var/lib/foreshadow --create-home foreshadow
USER foreshadow
STOPSIGNAL SIGTERM

FROM base AS broker
COPY --from=build /out/foreshadow-broker /usr/local/bin/
VOLUME /var/lib/foreshadow
ENTRYPOINT ["foreshadow-broker"]
CMD ["--config", "/etc/foreshadow/broker.toml"]

FROM base AS brain
COPY --from=build /out/foreshadow-brain /usr/local/bin/
VOLUME /var/lib/foreshadow
ENTRYPOINT ["foreshadow-brain"]
CMD ["--config", "/etc/foreshadow/brain.toml"]

FROM base AS agent
COPY --from=build /out/foreshadow-agent /usr/local/bin/
ENTRYPOINT ["foreshadow-agent"]
CMD ["run", "--config", "/etc/foreshadow/agent.toml"]

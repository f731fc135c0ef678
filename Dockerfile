# One build, images from nothing: docker build --target agent|broker|brain .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The agent is static, the others bring the libraries that they are linked with; tests lay out the same and run it
# (deploy/images/test).
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile dist --locked -p foreshadow-agent \
      --target "$(uname -m)-unknown-linux-gnu" --target-dir target/static \
 && cargo build --profile dist --locked -p foreshadow -p foreshadow-broker -p foreshadow-brain \
 && deploy/images/rootfs "target/static/$(uname -m)-unknown-linux-gnu/dist/foreshadow-agent" /out/agent \
 && deploy/images/rootfs target/dist/foreshadow-broker /out/broker \
 && deploy/images/rootfs target/dist/foreshadow-brain /out/brain \
 && strip -o /out/foreshadow target/dist/foreshadow

FROM scratch AS broker
COPY --from=build /out/broker /
USER 10001:10001
VOLUME /var/lib/foreshadow
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --retries=5 --start-period=5s CMD ["/usr/bin/foreshadow-broker", "healthy", "--config", "/etc/foreshadow/broker.toml"]
ENTRYPOINT ["/usr/bin/foreshadow-broker"]
CMD ["--config", "/etc/foreshadow/broker.toml"]

FROM scratch AS brain
COPY --from=build /out/brain /
USER 10001:10001
VOLUME /var/lib/foreshadow
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=15s CMD ["/usr/bin/foreshadow-brain", "healthy", "--config", "/etc/foreshadow/brain.toml"]
ENTRYPOINT ["/usr/bin/foreshadow-brain"]
CMD ["--config", "/etc/foreshadow/brain.toml"]

FROM scratch AS agent
COPY --from=build /out/agent /
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --retries=3 --start-period=10s CMD ["/usr/bin/foreshadow-agent", "healthy", "--config", "/etc/foreshadow/agent.toml"]
ENTRYPOINT ["/usr/bin/foreshadow-agent"]
CMD ["run", "--config", "/etc/foreshadow/agent.toml"]

# What the lab has besides: certificates at the first start, work to forecast, a BMC that is simulated. With a shell, for its
# scripts want one.
FROM debian:bookworm-slim AS lab
RUN apt-get update && apt-get install -y --no-install-recommends openipmi && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/foreshadow /usr/local/bin/
COPY deploy/compose/certificates deploy/compose/load /usr/local/bin/
COPY deploy/compose/bmc /etc/bmc
# Volumes take over whom these belong to.
RUN install -d -m 0700 -o 10001 -g 10001 /pki /out /out/broker /out/brain /out/lab-1 /out/lab-2 /out/lab-3
USER 10001:10001

# Static binaries without root on an empty base: `metrifold` (the last stage) and `worker`, the example of the Rust client.
#
#   docker build -f deploy/metrifold.Dockerfile -t metrifold .
#   docker buildx build -f deploy/metrifold.Dockerfile --platform linux/amd64,linux/arm64 -t metrifold .
FROM rust:1.95-bookworm AS build
ARG TARGETARCH
WORKDIR /source
COPY . .
RUN deploy/build_static.sh /out && cp /etc/ssl/certs/ca-certificates.crt /out/ && mkdir /out/empty

FROM scratch AS worker
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=10001:10001 /out/empty /ledger
COPY --from=build /out/worker /worker
USER 10001:10001
ENTRYPOINT ["/worker"]
CMD ["--ledger", "/ledger/worker"]

FROM scratch AS metrifold
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/metrifold /metrifold
USER 10001:10001
EXPOSE 9091
HEALTHCHECK --interval=5s --timeout=3s CMD ["/metrifold", "health"]
ENTRYPOINT ["/metrifold"]
CMD ["serve", "--listen", "0.0.0.0:9091"]

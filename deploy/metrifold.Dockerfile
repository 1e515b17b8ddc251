# The metrifold binary, without root, on a small base.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --package metrifold --bin metrifold

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 metrifold
COPY --from=build /source/target/dist/metrifold /usr/local/bin/metrifold
USER metrifold
EXPOSE 9091
ENTRYPOINT ["metrifold"]
CMD ["serve", "--listen", "0.0.0.0:9091"]

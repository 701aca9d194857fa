# Built in one stage, run from the other: no compiler and no pip cache in the image that runs.
# `make deployment` carries out these steps where no container engine is.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bot bot
COPY sql sql
COPY local_discord local_discord
COPY sandbox_worker sandbox_worker
RUN python -m venv /app && /app/bin/pip install --no-cache-dir -c constraints.txt \
    ./local_discord './sandbox_worker[all]' '.[embedded]'

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home --home-dir /home/bot bot && install --directory --owner bot --mode 700 /home/bot/data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 BOT_EMBEDDED__FOLDER=/home/bot/data BOT_HEALTH__LISTEN=127.0.0.1:8792
USER 10001
WORKDIR /home/bot
VOLUME /home/bot/data
EXPOSE 8791
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["sandbox-bot", "health"]
ENTRYPOINT ["sandbox-bot"]
CMD ["run"]

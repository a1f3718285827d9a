# wordmask serve on a CPU, with the embedded weights; nothing is downloaded when it runs.
#   docker build --build-arg TORCH_INDEX=ADDRESS -t wordmask .
#   docker run --rm -p 8000:8000 wordmask
FROM python:3.12-slim AS build
WORKDIR /source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/wordmask
ENV PATH=/opt/wordmask/bin:$PATH
COPY constraints.txt ./
# Where the builds of torch for CPUs are (its home page says): without it, gigabytes for CUDA come along.
ARG TORCH_INDEX=""
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install -c constraints.txt ".[serve]"

FROM python:3.12-slim
LABEL org.opencontainers.image.title="wordmask" \
      org.opencontainers.image.description="Masks of what a phrase names, over HTTP and on a page"
RUN groupadd --gid 10001 wordmask \
    && useradd --uid 10001 --gid wordmask --create-home wordmask \
    && install -d -o wordmask -g wordmask /cache
COPY --from=build /opt/wordmask /opt/wordmask
ENV PATH=/opt/wordmask/bin:$PATH \
    OMP_WAIT_POLICY=PASSIVE \
    HF_HUB_OFFLINE=1 \
    WORDMASK_CACHE=/cache \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /home/wordmask
VOLUME /cache
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v1/health', timeout=4)"]
ENTRYPOINT ["wordmask"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--cache", "/cache"]

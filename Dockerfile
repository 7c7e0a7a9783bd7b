# The studio in a container. CPU by default; for an NVIDIA card:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 -t fusion-studio:cuda .
ARG PYTHON=3.11
FROM python:${PYTHON}-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 \
    GRADIO_ANALYTICS_ENABLED=False FUSION_STUDIO_HOME=/data HF_HOME=/data/models

WORKDIR /app
# Packages first: a change of the code does not fetch them again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install uv=="$(sed -n 's/^uv==//p' constraints.txt)" \
    && uv pip install --system --no-cache --no-deps --index-url "${TORCH_INDEX}" \
        $(grep -E '^(torch|torchaudio)==' constraints.txt) \
    && python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > needed.txt \
    && uv pip install --system --no-cache --constraint constraints.txt --requirement needed.txt

COPY engines engines
COPY studio studio
COPY assets assets
RUN uv pip install --system --no-cache --no-deps . && rm -rf build ./*.egg-info \
    && useradd --create-home --uid 1000 studio && mkdir -p /data && chown studio /data

USER studio
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/', timeout=4)"]
ENTRYPOINT ["fusion-studio"]
CMD ["serve", "--host", "0.0.0.0", "--no-browser"]

# One image for web, worker and beat; compose.yaml says how they are started.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /build
COPY requirements.txt requirements-production.txt ./
# The CPU build first, in the pinned version: the standard wheel brings gigabytes of GPU libraries with it.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN grep '^torch==' requirements.txt > torch.txt \
    && pip install --index-url "$TORCH_INDEX" --requirement torch.txt \
    && pip install --requirement requirements-production.txt

FROM python:${PYTHON}
RUN groupadd --gid 10001 site \
    && useradd --uid 10001 --gid site --no-create-home --home-dir /data --shell /usr/sbin/nologin site \
    && install --directory --owner=site --group=site /data /app/static-collected
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
# The file system is read-only later on: compiled once here, not at each start of a process.
RUN python -m compileall -q llmrec_plugin project workers
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=project.settings \
    DEBUG=0 \
    HF_HUB_OFFLINE=1 \
    LLMREC_DATA_DIR=/data
USER 10001:10001
# Static files, and the packaged encoders in the form that they are loaded in, are part of the image: a new
# volume at /data starts with them.
RUN export DJANGO_SECRET_KEY="of the build" \
    && python manage.py collectstatic --noinput \
    && python -m project.encoders
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "-m", "project.healthcheck"]
CMD ["gunicorn", "project.wsgi"]

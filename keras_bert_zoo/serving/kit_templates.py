"""The files of the deploy kit, with places for what differs from model to model."""

from string import Template

BATCHING = """\
# tensorflow.serving.BatchingParameters.  What waits when a thread is free becomes a batch; nobody waits for others.
# Set num_batch_threads to the cores of the server.  A request of more than max_batch_size rows is refused.
# pad_variable_length_inputs stays false: it would fill up inputs with their first value.

max_batch_size { value: 256 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 1000 }
num_batch_threads { value: 4 }
"""

MONITORING = """\
# tensorflow.serving.MonitoringConfig: metrics for Prometheus on the REST port.

prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

VOLUME = Template("""\
      - type: bind
        source: $source
        target: $target
        read_only: true
""")

COMPOSE = Template("""\
# TensorFlow Serving in production's image, on this machine alone:  docker compose up
# $why
services:
  serving:
    image: $image
    command:
$flags
    ports:
      - "127.0.0.1:8500:8500"  # gRPC
      - "127.0.0.1:8501:8501"  # REST, metrics
    volumes:
$volumes      - type: bind
        source: .
        target: /config
        read_only: true
    healthcheck:
      # The image has no curl; bash opens the connection itself.
      test:
        - CMD
        - bash
        - -c
        - >-
          exec 3<>/dev/tcp/127.0.0.1/8501
          && printf 'GET /v1/models/$model HTTP/1.0\\r\\n\\r\\n' >&3
          && grep -q AVAILABLE <&3
      interval: 10s
      timeout: 5s
      retries: 3
      start_period: 120s
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    restart: unless-stopped
""")

CONFIG_MAP = Template("""\
  $file: |
$text
""")

KUBERNETES = Template("""\
# kubectl apply -f kubernetes.yaml, once the exported models are in the volume of the claim "models", each in a
# folder of its name: /mood/1, /mood/2.  Versions and labels change with the ConfigMap, without a restart.
# $why
apiVersion: v1
kind: ConfigMap
metadata:
  name: $name
data:
$maps---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $name
  labels:
    app: $name
spec:
  replicas: 2
  selector:
    matchLabels:
      app: $name
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  template:
    metadata:
      labels:
        app: $name
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 45
      securityContext:
        runAsNonRoot: true
        runAsUser: 65534
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: serving
          image: $image
          args:
$flags
          ports:
            - name: grpc
              containerPort: 8500
            - name: rest
              containerPort: 8501
          # The ports open when every model is loaded and warmed up.
          startupProbe:
            httpGet:
              path: /v1/models/$model/labels/stable
              port: rest
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            httpGet:
              path: /v1/models/$model/labels/stable
              port: rest
            periodSeconds: 5
            timeoutSeconds: 5
          livenessProbe:
            tcpSocket:
              port: grpc
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          lifecycle:
            preStop:
              exec:
                command: [sleep, "15"]  # until no new requests are sent here
          resources:
            requests:
              cpu: "2"
              memory: ${memory}Mi
            limits:
              memory: ${memory}Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: config
              mountPath: /config
              readOnly: true
            - name: models
              mountPath: /models
              readOnly: true
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: config
          configMap:
            name: $name
        - name: models
          persistentVolumeClaim:
            claimName: models
            readOnly: true
        - name: tmp
          emptyDir: {}
---
apiVersion: v1
kind: Service
metadata:
  name: $name
spec:
  selector:
    app: $name
  ports:
    - name: grpc
      port: 8500
      targetPort: grpc
    - name: rest
      port: 8501
      targetPort: rest
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: $name
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app: $name
""")

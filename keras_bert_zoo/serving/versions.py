"""What TensorFlow Serving knows, by version: the TF.Text it bundles, and the operations."""

from __future__ import annotations

# Serving's minor version -> the TF.Text that is linked into its server.  Source: tensorflow/serving,
# tensorflow_serving/workspace.bzl (org_tensorflow_text) and model_servers/BUILD (SUPPORTED_TENSORFLOW_OPS); 2.12.1 was
# never raised before 2.20: tensorflow/serving#4057, #2267.  Older servers lack the tokenizer's operations: #2064.
TEXT = {
    **dict.fromkeys(("2.12", "2.13", "2.14", "2.15", "2.16", "2.17", "2.18", "2.19"), "2.12.1"),
    "2.20": "2.20.0",
}
OLDEST = next(iter(TEXT))

_TEXT_2_12 = """
    CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets FindSourceOffsets
    MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize RegexSplitWithOffsets RougeL
    SentenceFragments SentenceFragmentsV2 SentencepieceDetokenizeOp SentencepieceIdToStringOp SentencepieceOp
    SentencepieceStringToIdOp SentencepieceTokenizeOp SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp
    SplitMergeTokenizeWithOffsets TFText>BoiseTagsToOffsets TFText>ByteSplitByOffsets TFText>ByteSplitWithOffsets
    TFText>FastSentencepieceDetokenize TFText>FastSentencepieceTokenize TFText>FastWordpieceDetokenize
    TFText>NgramsStringJoin TFText>OffsetsToBoiseTags TFText>PhraseDetokenize TFText>WhitespaceTokenizeWithOffsetsV2
    TokenizerFromLogits UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets WordpieceTokenizeWithOffsets
""".split()
# TF.Text's version -> its operations.  Source: the libraries in tensorflow-text's wheels of these versions.
TEXT_OPERATIONS = {
    "2.12.1": frozenset(_TEXT_2_12),
    "2.20.0": frozenset(
        [*_TEXT_2_12, "TFText>RoundRobinGenerateMasks", "TFText>RoundRobinTrim", "TFText>Utf8Binarize"]
    ),
}

# TensorFlow's minor version -> the operations it has and none since 2.12 had before.  Serving's is the TensorFlow of
# the same number.  Source: `tf.raw_ops` in tensorflow-cpu's wheels 2.12.1, 2.13.1, 2.14.1, 2.15.1, 2.16.2, 2.17.1,
# 2.18.1, 2.19.1, 2.20.0, and tensorflow's 2.21.0.
ADDED = {
    "2.13": """
        CollectiveAllToAllV2 DebugIdentityV3 RaggedFillEmptyRows RaggedFillEmptyRowsGrad RelayoutGrad SegmentMaxV2
        SegmentMinV2 SnapshotChunkDataset
    """.split(),
    "2.14": """
        Conv RelayoutLike SparseSegmentMeanGradV2 SparseSegmentSqrtNGradV2 SparseSegmentSumGradV2 TFRecordDatasetV2
    """.split(),
    "2.15": """
        DynamicEnqueueTPUEmbeddingRaggedTensorBatch FFTND IFFTND IRFFTND RFFTND
    """.split(),
    "2.16": """
        ConvertToCooTensor DatasetFingerprint GetMinibatchSplitsWithPhysicalReplica
        GetMinibatchesInCsrWithPhysicalReplica GlobalIterId ListSnapshotChunksDataset StoreMinibatchStatisticsInFdo
        TPUAnnotateTensorsWithDynamicShape TPUCopyWithDynamicShape XlaSparseCoreAdagrad XlaSparseCoreAdagradMomentum
        XlaSparseCoreAdam XlaSparseCoreFtrl XlaSparseCoreSgd XlaSparseDenseMatmul
        XlaSparseDenseMatmulGradWithAdagradAndCsrInput XlaSparseDenseMatmulGradWithAdagradMomentumAndCsrInput
        XlaSparseDenseMatmulGradWithAdamAndCsrInput XlaSparseDenseMatmulGradWithFtrlAndCsrInput
        XlaSparseDenseMatmulGradWithSgdAndCsrInput XlaSparseDenseMatmulWithCsrInput
    """.split(),
    "2.17": """
        ConvertToListOfSparseCoreCooTensors ConvertToSparseCoreCsrWrappedCooTensor
        GetStatsFromListOfSparseCoreCooTensors GlobalShuffleDataset IndexFlatMapDataset IteratorGetModelProto
        SortListOfSparseCoreCooTensors WeightedFlatMapDataset XlaSparseDenseMatmulGradWithAdagradAndStaticBufferSize
        XlaSparseDenseMatmulGradWithAdagradMomentumAndStaticBufferSize
        XlaSparseDenseMatmulGradWithAdamAndStaticBufferSize XlaSparseDenseMatmulGradWithFtrlAndStaticBufferSize
        XlaSparseDenseMatmulGradWithSgdAndStaticBufferSize XlaSparseDenseMatmulWithStaticBufferSize
    """.split(),
    "2.18": """
        CheckPinned XlaSparseDenseMatmulGradWithCsrInput
    """.split(),
    "2.19": [],
    "2.20": """
        DecodeWebP TPUDummyInput XlaSparseDenseMatmulCustomCombinerOnTcGradWithAdagradAndCsrInput
        XlaSparseDenseMatmulCustomCombinerOnTcGradWithAdagradMomentumAndCsrInput
        XlaSparseDenseMatmulCustomCombinerOnTcGradWithAdamAndCsrInput
        XlaSparseDenseMatmulCustomCombinerOnTcGradWithCsrInput
        XlaSparseDenseMatmulCustomCombinerOnTcGradWithFtrlAndCsrInput
        XlaSparseDenseMatmulCustomCombinerOnTcGradWithSgdAndCsrInput
        XlaSparseDenseMatmulCustomCombinerOnTcWithCsrInput
    """.split(),
    "2.21": ["CheckPreemption", "DecodeJxl", "MlirPassthroughOp"],
}

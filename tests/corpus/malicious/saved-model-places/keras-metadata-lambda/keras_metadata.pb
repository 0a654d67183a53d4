
‹root"_tf_keras_layer*p{"class_name": "Lambda", "config": {"function": {"class_name": "__tuple__", "items": ["4wEAAAA=", null, null]}}}
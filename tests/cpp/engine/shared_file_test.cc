#include "engine/shared_file.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace tensorbundle::engine {
namespace {

using Opened = Result<std::unique_ptr<std::string>>;

Opened Open(int& opens) {
  ++opens;
  return std::make_unique<std::string>("file");
}

TEST(SharedFileTest, TheFirstJobOpensItAndTheLastGetsIt) {
  SharedFile<std::string> shared;
  shared.AddJob();
  shared.AddJob();
  int opens = 0;
  const auto first = shared.Get([&] { return Open(opens); });
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(shared.FinishJob(), nullptr);
  EXPECT_EQ(*shared.Get([&] { return Open(opens); }), *first);
  EXPECT_EQ(opens, 1);
  const auto last = shared.FinishJob();
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last.get(), *first);
}

TEST(SharedFileTest, AFailureToOpenIsEverybodys) {
  SharedFile<std::string> shared;
  shared.AddJob();
  shared.AddJob();
  for (int i = 0; i < 2; ++i) {
    const auto file = shared.Get([&]() -> Opened {
      EXPECT_EQ(i, 0) << "opened again after it failed";
      return Status(Code::kNotFound, "no such file");
    });
    EXPECT_EQ(file.status().message(), "no such file");
  }
}

TEST(SharedFileTest, OneOfManyThreadsGetsIt) {
  constexpr int kThreads = 8;
  SharedFile<std::string> shared;
  for (int i = 0; i < kThreads; ++i) shared.AddJob();
  std::atomic<int> got = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      int opens = 0;
      EXPECT_EQ(**shared.Get([&] { return Open(opens); }), "file");
      if (shared.FinishJob() != nullptr) ++got;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, 1);
}

}  // namespace
}  // namespace tensorbundle::engine
